/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import type { LineChart } from "../charts/line-chart.ts";
import type { Alert, Window } from "../ports/observations.ts";
import { signalName } from "./alerts.tsx";
import { answersData } from "./answers-table.tsx";
import { dataset, type Dataset } from "./dataset.ts";
import { count, orDash, percent, three, two } from "./format.ts";
import { fill, overTime, pointsOf, trafficData, type Slot } from "./now.tsx";
import type { Page } from "./page.ts";
import { Card, Chart, DataTable, FirstQuestion, NothingInRange, timeTicks } from "./pieces.tsx";
import { elsewhere, FILTER_PARAMETERS, RANGE_PARAMETERS, type View } from "./view.ts";

/** How far the members are apart, over time, and in which answers most. */
export const disagreementPage: Page = {
  path: "/disagreement",
  parameters: [...RANGE_PARAMETERS, ...FILTER_PARAMETERS],
  defaultRange: "24h",
  controls: "filter",
  async make({ view, sources, size }) {
    const { observations } = sources;
    const { range, filter } = view;
    const [found, most, alerts] = await Promise.all([
      observations.windows(range, range.widthMs, filter),
      observations.answers({ range, filter, order: "disagreement", limit: 10 }),
      observations.alerts(range),
    ]);
    const filled = fill(view, found.windows);
    const windows = trafficData(view, filled);
    const weights = weightData(found.windows);
    const answers = answersData("most_disagreed", "Answers with the most disagreement", most.answers);
    const ids = [...new Set(found.windows.flatMap(({ members }) => members.map(({ member }) => member)))];
    return {
      title: "Disagreement",
      lead: "How far apart the members' predictions are, token by token, in the mean over the answers. Disagreement is not error: members also share mistakes.",
      data: [windows, weights, answers],
      body:
        found.windows.length === 0 ? (
          size.answers === 0 ? (
            <FirstQuestion view={view} keyed={sources.apiKey !== undefined} />
          ) : (
            <NothingInRange view={view} />
          )
        ) : (
          <>
            {found.share === 1 && found.complete ? null : (
              <div class="note">
                <p>
                  {found.share < 1
                    ? `Estimates: too many answers lie in this range to read all of them, so ${percent(found.share)} were read, evenly over it. `
                    : ""}
                  {found.complete ? "" : "Answers from before an update are still being counted."}
                </p>
              </div>
            )}
            <Card title="Divergence">
              <Chart
                chart={{
                  ...overTime(view, filled, tell),
                  label: "Mean Jensen–Shannon divergence of the members over time",
                  yFromZero: true,
                  yText: (value, decimals) => value.toFixed(decimals),
                  series: [
                    { name: "divergence", points: pointsOf(filled, ({ jsDivergence }) => jsDivergence) },
                  ],
                  marks: alerts.map(markOf),
                }}
                data={windows}
                view={view}
                unit="mean Jensen–Shannon divergence, nats; a bucket leads to its answers, a red mark is an alert"
              />
            </Card>
            <div class="grid2">
              <Card title="Same first token">
                <Chart
                  chart={{
                    ...overTime(view, filled, tell),
                    label:
                      "Share of positions at which all members have the same most likely token, over time",
                    yFromZero: false,
                    yText: (value) => `${Math.round(100 * value)} %`,
                    series: [
                      { name: "agreement", points: pointsOf(filled, ({ top1Agreement }) => top1Agreement) },
                    ],
                  }}
                  data={windows}
                  view={view}
                  unit="share of positions at which all members agree"
                />
              </Card>
              <Card title="Distance of states">
                <Chart
                  chart={{
                    ...overTime(view, filled, tell),
                    label: "Mean cosine distance of the members' states in the shared space, over time",
                    yFromZero: false,
                    yText: (value, decimals) => value.toFixed(decimals),
                    series: [
                      { name: "distance", points: pointsOf(filled, ({ stateDistance }) => stateDistance) },
                    ],
                  }}
                  data={windows}
                  view={view}
                  unit="mean cosine distance in the shared space"
                />
              </Card>
              <Card title="Weights">
                <Chart
                  chart={weightChart(view, filled, ids)}
                  data={weights}
                  view={view}
                  unit="mean weight in the fused state"
                />
              </Card>
              <Card title="Confidence">
                <Chart
                  chart={{
                    ...overTime(view, filled, tell),
                    label: "Mean confidence of the answers that have one, over time",
                    yFromZero: false,
                    yText: (value) => `${Math.round(100 * value)} %`,
                    series: [
                      { name: "confidence", points: pointsOf(filled, ({ confidence }) => confidence?.mean) },
                    ],
                  }}
                  data={windows}
                  view={view}
                  unit="mean over the answers that have one"
                />
              </Card>
            </div>
            <Card title="Where they disagreed most">
              <DataTable data={answers} view={view} />
              <p>
                <a href={elsewhere(view, "/requests")}>All answers, most disagreed first</a>
              </p>
            </Card>
          </>
        ),
    };
  },
};

function tell({ answers, jsDivergence, top1Agreement }: Window): string {
  return `${count(answers)} answers, divergence ${orDash(jsDivergence, three)}, same first token ${orDash(top1Agreement, percent)}`;
}

function markOf({ at, signal, member, direction }: Alert) {
  return {
    x: at,
    title: `Alert: ${signalName(signal)}${member === null ? "" : ` of ${member}`} went ${direction}`,
  };
}

function weightChart(view: View, filled: readonly Slot[], ids: readonly string[]): LineChart {
  const { range } = view;
  return {
    label: `Mean weight of ${ids.join(", ")} over time`,
    height: 190,
    x: range,
    xTicks: timeTicks(range),
    yFromZero: true,
    yText: (value, decimals) => value.toFixed(decimals),
    series: ids.map((id) => ({
      name: id,
      points: pointsOf(filled, ({ members }) => members.find(({ member }) => member === id)?.weight),
    })),
  };
}

function weightData(windows: readonly Window[]): Dataset {
  const rows = windows.flatMap(({ start, members }) => members.map((member) => ({ start, ...member })));
  return dataset("members", "Members over time", rows, [
    { name: "start", title: "From (UTC)", value: ({ start }) => new Date(start).toISOString() },
    { name: "member", title: "Member", value: ({ member }) => member },
    {
      name: "weight",
      title: "Weight",
      numeric: true,
      value: ({ weight }) => weight,
      cell: ({ weight }) => two(weight),
    },
    {
      name: "answers",
      title: "Answers",
      numeric: true,
      value: ({ answers }) => answers,
      cell: ({ answers }) => count(answers),
    },
    { name: "abstentions", title: "Abstained in", numeric: true, value: ({ abstentions }) => abstentions },
    { name: "losses", title: "Lost in", numeric: true, value: ({ losses }) => losses },
  ]);
}
