/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import type { LineChart } from "../charts/line-chart.ts";
import { dataset, type Dataset } from "./dataset.ts";
import { count, orDash, percent, signed, three } from "./format.ts";
import type { Page } from "./page.ts";
import { Card, Chart, Command, DataTable, Empty, Time } from "./pieces.tsx";
import type { Comparison, ExperimentAnalysis } from "../experiments/analyse.ts";
import { armTallies, type ArmTally } from "../experiments/arm-tallies.ts";
import type { Experiment, MetricDefinition } from "../ports/experiments.ts";
import { changed, elsewhere, oneOf } from "./view.ts";

const NOT_SERVED = (
  <Empty title="No experiments here">
    <p>This gateway runs no experiments.</p>
  </Empty>
);

/** All experiments. */
export const experimentsPage: Page = {
  path: "/experiments",
  parameters: [],
  defaultRange: "24h",
  controls: "none",
  async make({ view, sources }) {
    const experiments = (await sources.experiments?.list()) ?? [];
    const data = listData(experiments);
    return {
      title: "Experiments",
      lead: "The ensemble against a single model, or any arm against another, with intervals that hold whenever one looks.",
      data: [data],
      body:
        sources.experiments === undefined ? (
          NOT_SERVED
        ) : experiments.length === 0 ? (
          <Empty title="No experiments yet">
            <p>Make one with two arms and a metric; it is a draft until it is started:</p>
            <Command
              id="first-experiment"
              text={`curl ${view.origin}/v1/experiments \\
  -H 'content-type: application/json'${sources.apiKey === undefined ? "" : ` \\\n  -H "authorization: Bearer $CONCORD_API_KEY"`} \\
  -d '{"name": "ensemble-or-not", "control": "alone",
    "arms": [{"name": "alone", "model": "gemma-3-270m"}, {"name": "fused", "model": "concord"}],
    "metrics": [{"name": "correct", "kind": "boolean"}]}'`}
            />
          </Empty>
        ) : (
          <Card
            title={`${count(experiments.length)} ${experiments.length === 1 ? "experiment" : "experiments"}`}
          >
            <DataTable data={data} view={view} />
          </Card>
        ),
    };
  },
};

/** One experiment: what was found, how it came about, and its buttons. */
export const experimentPage: Page = {
  path: "/experiments/:name",
  parameters: ["metric"],
  defaultRange: "24h",
  controls: "none",
  async make({ view, sources, name }) {
    const desk = sources.experiments;
    if (desk === undefined) return { title: "Experiment", data: [], body: NOT_SERVED };
    const experiment = await desk.find(name);
    const [first, ...others] = experiment.metrics;
    const metricName = oneOf(view, "metric", [first.name, ...others.map((metric) => metric.name)]);
    const metric = experiment.metrics.find((one) => one.name === metricName) ?? first;
    const [counts, analysis] = await Promise.all([
      desk.counts(experiment.name),
      desk.analyse(experiment.name, metric.name),
    ]);
    const arms = armData(experiment, armTallies(experiment, counts));
    const found = comparisonData(experiment, analysis);
    const paths = pathData(analysis);
    return {
      title: experiment.name,
      lead: experiment.description === "" ? "An experiment." : experiment.description,
      data: [arms, found, paths],
      body: (
        <>
          <Card title="State">
            <Facts experiment={experiment} />
            <Buttons experiment={experiment} />
          </Card>
          {experiment.metrics.length < 2 ? null : (
            <nav class="ranges" aria-label="Metric">
              {experiment.metrics.map((one, i) => (
                <a
                  href={changed(view, { metric: i === 0 ? undefined : one.name })}
                  aria-current={one.name === metric.name ? "true" : undefined}
                >
                  {one.name}
                </a>
              ))}
            </nav>
          )}
          {analysis.comparisons.every(({ units }) => units === 0) ? (
            <Empty title="Nothing to say yet">
              <p>
                No unit has been judged by <b>{metric.name}</b>. Ask for the model{" "}
                <code>experiment:{experiment.name}</code>, then tell how it went with{" "}
                <code>POST /feedback</code>.
              </p>
            </Empty>
          ) : (
            <>
              <Verdict experiment={experiment} analysis={analysis} />
              <Card title={`Difference to ${experiment.control} in ${metric.name}`}>
                <Chart
                  chart={pathChart(experiment, metric, analysis)}
                  data={paths}
                  view={view}
                  unit={`an arm less ${experiment.control}, by judged units; ${percent(1 - experiment.plan.alpha)} of the bands hold all of the way; ${metric.better} is better`}
                />
                <DataTable data={found} view={view} />
              </Card>
            </>
          )}
          <Card title="Arms">
            <DataTable data={arms} view={view} />
            <p>
              <a href={elsewhere(view, "/requests", { experiment: experiment.name, range: "30d" })}>
                Its answers
              </a>
            </p>
          </Card>
        </>
      ),
    };
  },
};

const VERDICTS = {
  winner: { word: "Winner", tone: "good" },
  stop_for_harm: { word: "Stop: harm", tone: "bad" },
  no_difference: { word: "No difference that matters", tone: "" },
  keep_running: { word: "Keep running", tone: "" },
  not_to_be_trusted: { word: "Do not trust it", tone: "bad" },
} as const;

function Verdict({
  experiment: { mode },
  analysis: { comparisons, sampleRatio },
}: {
  readonly experiment: Experiment;
  readonly analysis: ExperimentAnalysis;
}) {
  const { sequentialPValue: p, alarm } = sampleRatio;
  return (
    <Card title="Verdict">
      {comparisons.map(({ verdict, sentence }) => (
        <p>
          <span class={`badge ${VERDICTS[verdict].tone}`}>{VERDICTS[verdict].word}</span> {sentence}
        </p>
      ))}
      {mode === "paired_shadow" ? null : (
        <p class="small">
          {alarm ? (
            <span class="badge bad">Units came in the wrong shares</span>
          ) : (
            "Units came in their shares"
          )}
          : p {p < 0.001 ? "< 0.001" : `= ${three(p)}`}
          {alarm ? ". Something loses units of one arm: find it before reading the difference." : "."}
        </p>
      )}
    </Card>
  );
}

function Facts({ experiment }: { readonly experiment: Experiment }) {
  const { plan, mode, unit, state, startedAt, stoppedAt, winner } = experiment;
  return (
    <dl class="facts">
      <div>
        <dt>State</dt>
        <dd>
          <StateBadge state={state} />
        </dd>
      </div>
      <div>
        <dt>Mode</dt>
        <dd>{mode === "split" ? "split: one arm answers" : "paired: both arms answer, one is returned"}</dd>
      </div>
      <div>
        <dt>Assigned by</dt>
        <dd>{unit}</dd>
      </div>
      <div>
        <dt>Plan</dt>
        <dd>
          α {plan.alpha}, {count(plan.units)} units
          {plan.minimumEffect === null ? "" : `, effect of at least ${plan.minimumEffect}`}
        </dd>
      </div>
      <div>
        <dt>Ran (UTC)</dt>
        <dd>
          {startedAt === null ? "not yet" : <Time at={startedAt} exact />}
          {stoppedAt === null ? null : (
            <>
              {" "}
              to <Time at={stoppedAt} exact />
            </>
          )}
        </dd>
      </div>
      {state !== "stopped" ? null : (
        <div>
          <dt>Answers from now on</dt>
          <dd>{winner ?? experiment.control}</dd>
        </div>
      )}
    </dl>
  );
}

function Buttons({ experiment: { name, state, arms, control } }: { readonly experiment: Experiment }) {
  const path = `/experiments/${encodeURIComponent(name)}`;
  if (state === "stopped")
    return <p class="small faint">It is stopped for good. Feedback that comes late still counts.</p>;
  return (
    <div class="buttons">
      {state === "running" ? (
        <form method="post" action={`${path}/pause`}>
          <button>Pause</button>
        </form>
      ) : (
        <form method="post" action={`${path}/start`}>
          <button class="primary">{state === "paused" ? "Go on" : "Start"}</button>
        </form>
      )}
      {state === "draft" ? null : (
        <form method="post" action={`${path}/stop`}>
          <button class="danger">Stop for good</button>
          <label class="small">
            then answer with{" "}
            <select name="winner">
              {arms.map((arm) => (
                <option value={arm.name} selected={arm.name === control}>
                  {arm.name}
                </option>
              ))}
            </select>
          </label>
        </form>
      )}
    </div>
  );
}

function StateBadge({ state }: { readonly state: Experiment["state"] }) {
  return <span class={state === "running" ? "badge good" : "badge"}>{state}</span>;
}

function listData(experiments: readonly Experiment[]): Dataset {
  return dataset("experiments", "Experiments", experiments, [
    {
      name: "name",
      title: "Experiment",
      value: ({ name }) => name,
      cell: ({ name }) => (
        <a href={`/experiments/${encodeURIComponent(name)}`}>
          <b>{name}</b>
        </a>
      ),
    },
    {
      name: "state",
      title: "State",
      value: ({ state }) => state,
      cell: ({ state }) => <StateBadge state={state} />,
    },
    { name: "mode", title: "Mode", value: ({ mode }) => mode, cell: ({ mode }) => mode.replace("_", " ") },
    {
      name: "arms",
      title: "Arms",
      value: ({ arms }) => arms.map(({ name, model }) => `${name} (${model})`).join(", "),
    },
    { name: "metric", title: "Decided by", value: ({ metrics }) => metrics[0].name },
    {
      name: "started_at",
      title: "Started (UTC)",
      value: ({ startedAt }) => (startedAt === null ? null : new Date(startedAt).toISOString()),
      cell: ({ startedAt }) => (startedAt === null ? "not yet" : <Time at={startedAt} />),
    },
    { name: "winner", title: "Winner", value: ({ winner }) => winner },
  ]);
}

function armData({ arms, control }: Experiment, counts: readonly ArmTally[]): Dataset {
  const rows = arms.map((arm) => ({ ...arm, count: counts.find(({ name }) => name === arm.name) ?? null }));
  return dataset("arms", "Arms", rows, [
    {
      name: "arm",
      title: "Arm",
      value: ({ name }) => name,
      cell: ({ name }) => (
        <>
          <b>{name}</b>
          {name === control ? (
            <>
              {" "}
              <span class="badge">control</span>
            </>
          ) : null}
        </>
      ),
    },
    { name: "model", title: "Model", value: ({ model }) => model },
    { name: "weight", title: "Weight", numeric: true, value: ({ weight }) => weight },
    {
      name: "units",
      title: "Units",
      numeric: true,
      value: (row) => row.count?.units ?? 0,
      cell: (row) => count(row.count?.units ?? 0),
    },
    {
      name: "answered",
      title: "Answered",
      numeric: true,
      value: (row) => row.count?.answered ?? 0,
      cell: (row) => count(row.count?.answered ?? 0),
    },
    { name: "failed", title: "Failed", numeric: true, value: (row) => row.count?.failed ?? 0 },
    { name: "cancelled", title: "Cancelled", numeric: true, value: (row) => row.count?.cancelled ?? 0 },
    { name: "dropped", title: "Shadows dropped", numeric: true, value: (row) => row.count?.dropped ?? 0 },
  ]);
}

function comparisonData({ control }: Experiment, analysis: ExperimentAnalysis): Dataset {
  return dataset("differences", `Differences to ${control}`, analysis.comparisons, [
    { name: "arm", title: "Arm", value: (row: Comparison) => row.arm },
    {
      name: "units",
      title: "Judged units",
      numeric: true,
      value: ({ units }) => units,
      cell: ({ units }) => count(units),
    },
    {
      name: "mean",
      title: "Mean",
      numeric: true,
      value: ({ arm }) => meanOf(analysis, arm),
      cell: ({ arm }) => orDash(meanOf(analysis, arm), three),
    },
    {
      name: "control_mean",
      title: "Control",
      numeric: true,
      value: () => meanOf(analysis, control),
      cell: () => orDash(meanOf(analysis, control), three),
    },
    {
      name: "difference",
      title: "Difference",
      numeric: true,
      value: ({ difference }) => difference,
      cell: ({ difference }) => orDash(difference, signed),
    },
    {
      name: "low",
      title: "From",
      numeric: true,
      value: ({ interval }) => interval?.low ?? null,
      cell: ({ interval }) => orDash(interval?.low, signed),
    },
    {
      name: "high",
      title: "To",
      numeric: true,
      value: ({ interval }) => interval?.high ?? null,
      cell: ({ interval }) => orDash(interval?.high, signed),
    },
    {
      name: "p_value",
      title: "Always-valid p",
      numeric: true,
      value: ({ pValue }) => pValue,
      cell: ({ pValue }) => three(pValue),
    },
  ]);
}

function meanOf({ arms }: ExperimentAnalysis, name: string): number | null {
  return arms.find(({ arm }) => arm === name)?.mean ?? null;
}

function pathData(analysis: ExperimentAnalysis): Dataset {
  const rows = analysis.comparisons.flatMap(({ arm, sequence }) =>
    sequence.map((point) => ({ arm, ...point })),
  );
  return dataset("sequence", "Confidence sequence", rows, [
    { name: "arm", title: "Arm", value: ({ arm }) => arm },
    {
      name: "units",
      title: "Judged units",
      numeric: true,
      value: ({ units }) => units,
      cell: ({ units }) => count(units),
    },
    {
      name: "difference",
      title: "Difference",
      numeric: true,
      value: ({ difference }) => difference,
      cell: ({ difference }) => signed(difference),
    },
    { name: "low", title: "From", numeric: true, value: ({ low }) => low, cell: ({ low }) => signed(low) },
    { name: "high", title: "To", numeric: true, value: ({ high }) => high, cell: ({ high }) => signed(high) },
  ]);
}

function pathChart(
  { control }: Experiment,
  metric: MetricDefinition,
  { comparisons }: ExperimentAnalysis,
): LineChart {
  const most = Math.max(1, ...comparisons.flatMap(({ sequence }) => sequence.map(({ units }) => units)));
  // Before, the bands are so wide that nothing could be seen of them later.
  const first = most < 100 ? 0 : most / 20;
  const step = 10 ** Math.floor(Math.log10(most));
  const every = most / step > 5 ? 2 * step : most / step < 2 ? step / 4 : step;
  return {
    label: `Confidence sequence of the difference to ${control} in ${metric.name}, by judged units`,
    height: 260,
    x: { from: 0, to: most },
    xTicks: Array.from({ length: Math.floor(most / every) + 1 }, (_, i) => ({
      at: i * every,
      text: count(i * every),
    })),
    yFromZero: false,
    yText: (value, decimals) => `${value > 0 ? "+" : ""}${value.toFixed(decimals).replace("-", "−")}`,
    level: 0,
    series: comparisons.map(({ arm, sequence }) => ({
      name: arm,
      points: sequence
        .filter(({ units }) => units >= first)
        .map(({ units, difference, low, high }) => ({
          x: units,
          y: difference,
          interval: { low, high },
        })),
    })),
    slots: comparisons.slice(0, 1).flatMap(({ arm, sequence }) =>
      sequence.map(({ units, difference, low, high }, i) => ({
        from: sequence[i - 1]?.units ?? 0,
        to: units,
        title: `${arm}, ${count(units)} units: ${signed(difference)} (${signed(low)} to ${signed(high)})`,
      })),
    ),
  };
}
