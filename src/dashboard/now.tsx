/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import { sparkline, type LineChart } from "../charts/line-chart.ts";
import type { Health } from "../ports/health.ts";
import type { MemberWindow, Window } from "../ports/observations.ts";
import { alertsData } from "./alerts.tsx";
import { answersData } from "./answers-table.tsx";
import { dataset, type Dataset } from "./dataset.ts";
import { count, duration, orDash, percent, shortMoment, three } from "./format.ts";
import type { Page } from "./page.ts";
import {
  Card,
  Chart,
  DataTable,
  FirstQuestion,
  NothingInRange,
  State,
  Tile,
  Time,
  timeTicks,
} from "./pieces.tsx";
import { buckets, wholeWidth } from "./time-range.ts";
import { between, elsewhere, RANGE_PARAMETERS, type View } from "./view.ts";

const LATEST = 10;

/** How it goes: requests, latency, the members, agreement. */
export const nowPage: Page = {
  path: "/",
  parameters: RANGE_PARAMETERS,
  defaultRange: "1h",
  controls: "range",
  async make({ view, sources, size }) {
    const { observations } = sources;
    const { range } = view;
    const [series, whole, latest, alerts] = await Promise.all([
      observations.windows(range, range.widthMs),
      observations.windows(range, wholeWidth(range)),
      observations.answers({ range, order: "time", limit: LATEST }),
      observations.alerts(range),
    ]);
    const health = sources.health?.() ?? null;
    const [total] = whole.windows;
    const filled = fill(view, series.windows);
    const members = memberData(health?.members ?? [], total?.members ?? []);
    const traffic = trafficData(view, filled);
    const answers = answersData("latest", "Latest answers", latest.answers);
    const raised = alertsData(alerts, view);
    const span = range.to - range.from;
    return {
      title: "Now",
      live: true,
      data: [traffic, members, answers, raised],
      body: (
        <>
          {alerts.length === 0 ? null : (
            <div class="note warn">
              <p>
                <b>
                  {alerts.length} {alerts.length === 1 ? "alert" : "alerts"}
                </b>{" "}
                in this range: <a href={elsewhere(view, "/alerts")}>see what moved</a>.
              </p>
            </div>
          )}
          {size.uncounted === 0 ? null : (
            <div class="note">
              <p>{count(size.uncounted)} answers from before an update are still being counted.</p>
            </div>
          )}
          {total === undefined ? (
            size.answers === 0 ? (
              <FirstQuestion view={view} keyed={sources.apiKey !== undefined} />
            ) : (
              <NothingInRange view={view} />
            )
          ) : (
            <>
              <Tiles total={total} filled={filled} minutes={span / 60_000} />
              <Card title="Answers over time">
                <Chart
                  chart={answersChart(view, filled)}
                  data={traffic}
                  view={view}
                  unit={`answers per ${duration(range.widthMs).replace(" 0 s", "")}`}
                />
              </Card>
              <Card title="Latency">
                <Chart chart={latencyChart(view, filled)} data={traffic} view={view} unit="milliseconds" />
              </Card>
            </>
          )}
          <Card title="Members">
            {members.rows.length === 0 ? (
              <p class="faint">Not known yet: the members are being loaded.</p>
            ) : (
              <DataTable data={members} view={view} />
            )}
          </Card>
          {latest.answers.length === 0 ? null : (
            <Card title="Latest answers">
              <DataTable data={answers} view={view} />
            </Card>
          )}
        </>
      ),
    };
  },
};

/** A bucket of the range, also one without answers. */
export interface Slot {
  readonly from: number;
  readonly to: number;
  readonly window: Window | null;
}

/** All buckets of the range, in order. */
export function fill({ range }: View, windows: readonly Window[]): Slot[] {
  const { widthMs } = range;
  const byBucket = new Map(windows.map((window) => [Math.floor(window.start / widthMs), window]));
  return buckets(range).map(({ from, to }) => ({
    from,
    to,
    window: byBucket.get(Math.floor(from / widthMs)) ?? null,
  }));
}

function Tiles({
  total,
  filled,
  minutes,
}: {
  readonly total: Window;
  readonly filled: readonly Slot[];
  readonly minutes: number;
}) {
  const line = (value: (window: Window) => number | null | undefined): string =>
    sparkline(filled.map(({ window }) => (window === null ? null : (value(window) ?? null))));
  return (
    <dl class="tiles">
      <Tile
        title="Answers"
        value={count(total.answers)}
        about={`${(total.answers / minutes).toPrecision(2)} a minute, ${count(total.degraded)} degraded`}
        spark={sparkline(filled.map(({ window }) => window?.answers ?? 0))}
      />
      <Tile
        title="Latency, median"
        value={orDash(total.latencyMs?.p50, duration)}
        about={`95 % within ${orDash(total.latencyMs?.p95, duration)}`}
        spark={line(({ latencyMs }) => latencyMs?.p50)}
      />
      <Tile
        title="First token, median"
        value={orDash(total.firstTokenMs?.p50, duration)}
        about={`${count(total.completionTokens)} tokens made`}
        spark={line(({ firstTokenMs }) => firstTokenMs?.p50)}
      />
      <Tile
        title="Divergence, mean"
        value={orDash(total.jsDivergence, three)}
        about="nats; 0 is full agreement"
        spark={line(({ jsDivergence }) => jsDivergence)}
      />
      <Tile
        title="Same first token"
        value={orDash(total.top1Agreement, percent)}
        about="of positions, all members"
        spark={line(({ top1Agreement }) => top1Agreement)}
      />
      <Tile
        title="Confidence, mean"
        value={orDash(total.confidence?.mean, percent)}
        about={`told for ${percent((total.confidence?.answers ?? 0) / total.answers)} of answers`}
        spark={line(({ confidence }) => confidence?.mean)}
      />
    </dl>
  );
}

interface MemberRow {
  readonly id: string;
  readonly health: Health | null;
  readonly window: MemberWindow | null;
}

function memberData(health: readonly Health[], windows: readonly MemberWindow[]): Dataset {
  const ids = [...new Set([...health.map(({ id }) => id), ...windows.map(({ member }) => member)])];
  const rows = ids.map((id): MemberRow => ({
    id,
    health: health.find((one) => one.id === id) ?? null,
    window: windows.find(({ member }) => member === id) ?? null,
  }));
  return dataset("members", "Members", rows, [
    { name: "member", title: "Member", value: ({ id }) => id },
    {
      name: "state",
      title: "State",
      value: (row) => row.health?.state ?? null,
      cell: (row) => (row.health === null ? "–" : <State state={row.health.state} />),
    },
    {
      name: "weight",
      title: "Weight, mean",
      numeric: true,
      value: ({ window }) => window?.weight ?? null,
      cell: ({ window }) => orDash(window?.weight, (weight) => weight.toFixed(2)),
    },
    {
      name: "answers",
      title: "Answers",
      numeric: true,
      value: ({ window }) => window?.answers ?? 0,
      cell: ({ window }) => count(window?.answers ?? 0),
    },
    {
      name: "abstentions",
      title: "Abstained in",
      numeric: true,
      value: ({ window }) => window?.abstentions ?? 0,
      cell: ({ window }) => shareOf(window?.abstentions ?? 0, window?.answers ?? 0),
    },
    {
      name: "losses",
      title: "Lost in",
      numeric: true,
      value: ({ window }) => window?.losses ?? 0,
      cell: ({ window }) => shareOf(window?.losses ?? 0, window?.answers ?? 0),
    },
    {
      name: "reason",
      title: "Why it is not up",
      value: (row) => row.health?.reason ?? null,
      cell: (row) =>
        row.health === null || row.health.state === "up" ? (
          ""
        ) : (
          <>
            {row.health.reason ?? "not known"}
            {row.health.restartsAt === null ? null : (
              <>
                ; starts again <Time at={row.health.restartsAt} exact />
              </>
            )}
          </>
        ),
    },
  ]);
}

function shareOf(part: number, whole: number): string {
  return part === 0 ? "0" : `${count(part)} (${percent(part / whole)})`;
}

/** What there was in each bucket of the range: also the disagreement page's. */
export function trafficData(view: View, filled: readonly Slot[]): Dataset {
  const known = filled.filter((slot): slot is Slot & { window: Window } => slot.window !== null);
  return dataset("windows", "Answers over time", known, [
    {
      name: "start",
      title: "From (UTC)",
      value: ({ from }) => new Date(from).toISOString(),
      cell: ({ from, to }) => (
        <a href={elsewhere(view, "/requests", between(from, to))}>
          <Time at={from} />
        </a>
      ),
    },
    {
      name: "answers",
      title: "Answers",
      numeric: true,
      value: ({ window }) => window.answers,
      cell: ({ window }) => count(window.answers),
    },
    { name: "degraded", title: "Degraded", numeric: true, value: ({ window }) => window.degraded },
    {
      name: "js_divergence",
      title: "Divergence, nats",
      numeric: true,
      value: ({ window }) => window.jsDivergence,
      cell: ({ window }) => orDash(window.jsDivergence, three),
    },
    {
      name: "top1_agreement",
      title: "Same first token",
      numeric: true,
      value: ({ window }) => window.top1Agreement,
      cell: ({ window }) => orDash(window.top1Agreement, percent),
    },
    {
      name: "state_distance",
      title: "State distance",
      numeric: true,
      value: ({ window }) => window.stateDistance,
      cell: ({ window }) => orDash(window.stateDistance, three),
    },
    {
      name: "confidence",
      title: "Confidence",
      numeric: true,
      value: ({ window }) => window.confidence?.mean ?? null,
      cell: ({ window }) => orDash(window.confidence?.mean, percent),
    },
    {
      name: "latency_p50_ms",
      title: "Latency p50",
      numeric: true,
      value: ({ window }) => window.latencyMs?.p50 ?? null,
      cell: ({ window }) => orDash(window.latencyMs?.p50, duration),
    },
    {
      name: "latency_p95_ms",
      title: "p95",
      numeric: true,
      value: ({ window }) => window.latencyMs?.p95 ?? null,
      cell: ({ window }) => orDash(window.latencyMs?.p95, duration),
    },
    {
      name: "first_token_p50_ms",
      title: "First token p50",
      numeric: true,
      value: ({ window }) => window.firstTokenMs?.p50 ?? null,
      cell: ({ window }) => orDash(window.firstTokenMs?.p50, duration),
    },
    { name: "prompt_tokens", title: "Prompt tokens", cell: null, value: ({ window }) => window.promptTokens },
    {
      name: "completion_tokens",
      title: "Tokens made",
      cell: null,
      value: ({ window }) => window.completionTokens,
    },
  ]);
}

/** What charts over the range have in common: the axis, and a slot per bucket that leads to its answers. */
export function overTime(
  view: View,
  filled: readonly Slot[],
  tell: (window: Window) => string,
): Pick<LineChart, "x" | "xTicks" | "slots" | "height"> {
  const { range } = view;
  return {
    height: 190,
    x: { from: range.from, to: range.to },
    xTicks: timeTicks(range),
    slots: filled.flatMap(({ from, to, window }) =>
      window === null
        ? []
        : [
            {
              from,
              to,
              title: `${shortMoment(from)} UTC: ${tell(window)}`,
              href: elsewhere(view, "/requests", between(from, to)),
            },
          ],
    ),
  };
}

/** A measure of each bucket, in its middle. */
export function pointsOf(filled: readonly Slot[], value: (window: Window) => number | null | undefined) {
  return filled.map(({ from, to, window }) => ({
    x: (from + to) / 2,
    y: window === null ? null : (value(window) ?? null),
  }));
}

function answersChart(view: View, filled: readonly Slot[]): LineChart {
  return {
    ...overTime(
      view,
      filled,
      ({ answers, degraded }) => `${count(answers)} answers, ${count(degraded)} degraded`,
    ),
    label: `Answers over time, ${filled.length} buckets`,
    height: 150,
    yFromZero: true,
    yText: (value) => count(value),
    bars: true,
    series: [{ name: "answers", points: pointsOf(filled, ({ answers }) => answers) }],
  };
}

function latencyChart(view: View, filled: readonly Slot[]): LineChart {
  return {
    ...overTime(
      view,
      filled,
      ({ latencyMs, firstTokenMs }) =>
        `median ${orDash(latencyMs?.p50, duration)}, 95 % within ${orDash(latencyMs?.p95, duration)}, first token ${orDash(firstTokenMs?.p50, duration)}`,
    ),
    label: "Latency over time: median, 95th percentile and median time to the first token",
    yFromZero: true,
    yText: (value) => count(value),
    series: [
      { name: "median", points: pointsOf(filled, ({ latencyMs }) => latencyMs?.p50) },
      { name: "95th percentile", points: pointsOf(filled, ({ latencyMs }) => latencyMs?.p95) },
      { name: "first token, median", points: pointsOf(filled, ({ firstTokenMs }) => firstTokenMs?.p50) },
    ],
  };
}
