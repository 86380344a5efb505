/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import type { Alert } from "../ports/observations.ts";
import { dataset, type Dataset } from "./dataset.ts";
import { signed, three } from "./format.ts";
import type { Page } from "./page.ts";
import { Card, DataTable, Empty, Time } from "./pieces.tsx";
import { between, elsewhere, RANGE_PARAMETERS, type View } from "./view.ts";

/** Shown before and after an alert. */
const AROUND_MS = 3_600_000;

/** Signals that moved. */
export const alertsPage: Page = {
  path: "/alerts",
  parameters: RANGE_PARAMETERS,
  defaultRange: "7d",
  controls: "range",
  async make({ view, sources }) {
    const alerts = await sources.observations.alerts(view.range);
    const data = alertsData(alerts, view);
    return {
      title: "Alerts",
      lead: "A change detector watches each signal over the answers as they come, at a stated rate of false alarms.",
      data: [data],
      body:
        alerts.length === 0 ? (
          <Empty title="Nothing moved in this range">
            <p>
              No signal has left what it was held against.{" "}
              <a href={elsewhere(view, "/disagreement")}>Look at the signals</a> themselves, or take a longer
              range.
            </p>
          </Empty>
        ) : (
          <Card title="What moved">
            <DataTable data={data} view={view} />
          </Card>
        ),
    };
  },
};

export function alertsData(alerts: readonly Alert[], view: View): Dataset {
  return dataset("alerts", "Alerts", alerts, [
    {
      name: "at",
      title: "When (UTC)",
      value: ({ at }) => new Date(at).toISOString(),
      cell: ({ at }) => (
        <a href={elsewhere(view, "/disagreement", between(at - AROUND_MS, at + AROUND_MS))}>
          <Time at={at} />
        </a>
      ),
    },
    {
      name: "signal",
      title: "Signal",
      value: ({ signal }) => signal,
      cell: ({ signal }) => <b>{signalName(signal)}</b>,
    },
    {
      name: "member",
      title: "Of",
      value: ({ member }) => member,
      cell: ({ member }) => member ?? "the ensemble",
    },
    {
      name: "direction",
      title: "Moved",
      value: ({ direction }) => direction,
      cell: ({ direction }) => (
        <>
          <span aria-hidden="true">{direction === "up" ? "▲" : "▼"}</span> {direction}
        </>
      ),
    },
    {
      name: "value",
      title: "To",
      numeric: true,
      value: ({ value }) => value,
      cell: ({ value }) => three(value),
    },
    {
      name: "reference",
      title: "From",
      numeric: true,
      value: ({ reference }) => reference,
      cell: ({ reference }) => three(reference),
    },
    {
      name: "change",
      title: "Change",
      numeric: true,
      value: ({ value, reference }) => value - reference,
      cell: ({ value, reference }) => signed(value - reference),
    },
    {
      name: "false_alarm_rate",
      title: "False alarms",
      numeric: true,
      value: ({ falseAlarmRate }) => falseAlarmRate,
      cell: ({ falseAlarmRate }) => `1 in ${Math.round(1 / falseAlarmRate).toLocaleString("en-US")} answers`,
    },
  ]);
}

/** `js_divergence` as a person says it. */
export function signalName(signal: string): string {
  return signal
    .replaceAll("_", " ")
    .replace("js divergence", "divergence")
    .replace("top1 agreement", "same first token");
}
