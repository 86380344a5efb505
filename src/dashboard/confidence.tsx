/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import { raw } from "hono/html";
import { reliabilityFigure, riskFigure } from "../charts/unit-square.ts";
import type { ConfidenceRow, SetReport } from "../ensemble/confidence-report.ts";
import type { JudgedConfidence } from "../ports/observations.ts";
import { riskCoverage } from "../stats/ranking.ts";
import { expectedCalibrationError, reliabilityBins } from "../stats/reliability.ts";
import { dataset, type Dataset } from "./dataset.ts";
import { count, orDash, percent, three, two } from "./format.ts";
import { fill, overTime, pointsOf, trafficData } from "./now.tsx";
import type { Page } from "./page.ts";
import { Card, Chart, DataTable, Time } from "./pieces.tsx";
import type { CalibratedSet } from "./sources.ts";
import { wholeWidth } from "./time-range.ts";
import { RANGE_PARAMETERS, type View } from "./view.ts";

/** With fewer judged answers a diagram shows chance. */
const ENOUGH = 30;

/** How far confidences can be trusted: on live traffic by feedback, and on questions kept apart. */
export const confidencePage: Page = {
  path: "/confidence",
  parameters: RANGE_PARAMETERS,
  defaultRange: "30d",
  controls: "range",
  async make({ view, sources }) {
    const { observations, confidence } = sources;
    const { range } = view;
    const [series, whole, judged, report] = await Promise.all([
      observations.windows(range, range.widthMs),
      observations.windows(range, wholeWidth(range)),
      observations.judged(range),
      confidence?.report() ?? null,
    ]);
    const filled = fill(view, series.windows);
    const over = trafficData(view, filled);
    const [total] = whole.windows;
    const calibrated = calibratedData(confidence?.calibratedOn() ?? []);
    const bins = binData(judged);
    const reported = report === null ? [] : report.sets.flatMap((set, i) => reportData(set, i));
    return {
      title: "Confidence",
      lead: "A confidence is the probability that an answer is right. It can be trusted as far as answers with 80 % are right in 80 % of the cases.",
      data: [over, calibrated, bins, ...reported],
      body: (
        <>
          <Card title="How often a confidence is told">
            {total === undefined || total.confidence === null ? (
              <p>
                No answer in this range has one. Confidences are told for questions with choices, and for
                short answers at temperature 0 to texts like those they were calibrated on.
              </p>
            ) : (
              <>
                <p>
                  {percent(total.confidence.answers / total.answers)} of {count(total.answers)} answers have
                  one, {percent(total.confidence.mean)} in the mean.
                </p>
                <Chart
                  chart={{
                    ...overTime(
                      view,
                      filled,
                      (window) => `mean confidence ${orDash(window.confidence?.mean, percent)}`,
                    ),
                    label: "Mean confidence over time",
                    height: 150,
                    yFromZero: false,
                    yText: (value) => `${Math.round(100 * value)} %`,
                    series: [
                      { name: "confidence", points: pointsOf(filled, (window) => window.confidence?.mean) },
                    ],
                  }}
                  data={over}
                  view={view}
                  unit="mean confidence of the answers that have one"
                />
              </>
            )}
          </Card>
          <Card title="On live traffic, by feedback">
            {judged.length < ENOUGH ? (
              <p>
                {count(judged.length)} answers of this range have a confidence and feedback that says whether
                they were right; from {ENOUGH} on there is a diagram. Feedback is given with{" "}
                <code>POST /feedback</code>.
              </p>
            ) : (
              <>
                <p>
                  {count(judged.length)} answers were judged. Expected calibration error{" "}
                  {three(expectedCalibrationError(judged))}.
                </p>
                <div class="squares">
                  {raw(reliabilityFigure({ name: "reliability", bins: reliabilityBins(judged) }))}
                  {raw(riskFigure([{ name: "judged answers", riskCoverage: riskCoverage(judged) }]))}
                </div>
                <DataTable data={bins} view={view} />
              </>
            )}
          </Card>
          <Card title="What it was calibrated on">
            {calibrated.rows.length === 0 ? (
              <p>
                Nothing is calibrated for the members and maps in use, so no confidence is told.{" "}
                <code>concord calibrate</code> learns one.
              </p>
            ) : (
              <DataTable data={calibrated} view={view} />
            )}
          </Card>
          {report === null ? (
            <Card title="On questions kept apart">
              <p>
                Nobody has looked yet for the calibration in use: <code>concord report</code> answers
                questions that nothing was learned from, and this page then shows what came of it.
              </p>
            </Card>
          ) : (
            report.sets.map((set, i) => (
              <Reported set={set} tables={reportData(set, i)} view={view} createdAt={report.createdAt} />
            ))
          )}
        </>
      ),
    };
  },
};

function Reported({
  set,
  tables,
  view,
  createdAt,
}: {
  readonly set: SetReport;
  readonly tables: readonly Dataset[];
  readonly view: View;
  readonly createdAt: number;
}) {
  const drawn = set.rows.filter((row) => row.calibrated).slice(0, 3);
  return (
    <Card title={`On questions kept apart: ${set.name}`}>
      <p class="small faint">
        Looked at on <Time at={createdAt} exact /> UTC.
      </p>
      <div class="squares">
        {drawn.map((row) => raw(reliabilityFigure(row)))}
        {raw(riskFigure(drawn))}
      </div>
      {tables.map((data) => (
        <DataTable data={data} view={view} />
      ))}
      {set.disagreement === null ? null : (
        <p class="small">
          Confidence and disagreement together tell right from wrong with an AUROC of{" "}
          {three(set.disagreement.both)}, confidence alone with {three(set.disagreement.confidence)}.
        </p>
      )}
    </Card>
  );
}

function calibratedData(sets: readonly CalibratedSet[]): Dataset {
  return dataset("calibrated_on", "What confidences were calibrated on", sets, [
    { name: "set", title: "Questions", value: ({ name }) => name },
    {
      name: "kind",
      title: "Of",
      value: ({ kind }) => kind,
      cell: ({ kind }) => (kind === "choice" ? "closed choices" : "short answers"),
    },
    {
      name: "items",
      title: "Items",
      numeric: true,
      value: ({ items }) => items,
      cell: ({ items }) => count(items),
    },
    {
      name: "deciders",
      title: "Decided by",
      value: ({ deciders }) => deciders.map((members) => members.join(" + ")).join("; "),
    },
  ]);
}

function binData(judged: readonly JudgedConfidence[]): Dataset {
  return dataset(
    "reliability",
    "Judged answers by confidence",
    judged.length === 0 ? [] : reliabilityBins(judged),
    [
      { name: "low", title: "From", numeric: true, value: ({ low }) => low, cell: ({ low }) => two(low) },
      { name: "high", title: "To", numeric: true, value: ({ high }) => high, cell: ({ high }) => two(high) },
      {
        name: "answers",
        title: "Answers",
        numeric: true,
        value: (bin) => bin.count,
        cell: (bin) => count(bin.count),
      },
      {
        name: "confidence",
        title: "Confidence",
        numeric: true,
        value: ({ confidence }) => confidence,
        cell: ({ confidence }) => percent(confidence),
      },
      {
        name: "right",
        title: "Right",
        numeric: true,
        value: ({ accuracy }) => accuracy,
        cell: ({ accuracy }) => percent(accuracy),
      },
    ],
  );
}

function reportData({ name, rows, sets }: SetReport, i: number): Dataset[] {
  const ways = dataset(`report_${i + 1}`, `${name}: ways to answer`, rows, [
    { name: "set", title: "Set", cell: null, value: () => name },
    { name: "decided_by", title: "Decided by", value: (row: ConfidenceRow) => row.name },
    {
      name: "items",
      title: "Items",
      numeric: true,
      value: ({ items }) => items,
      cell: ({ items }) => count(items),
    },
    {
      name: "right",
      title: "Right",
      numeric: true,
      value: ({ accuracy }) => accuracy,
      cell: ({ accuracy }) => percent(accuracy),
    },
    {
      name: "ece",
      title: "ECE",
      numeric: true,
      value: ({ eceWidth }) => eceWidth.value,
      cell: ({ eceWidth }) => orDash(eceWidth.value, three),
    },
    {
      name: "ece_by_chance",
      title: "By chance",
      numeric: true,
      value: ({ eceByChance }) => eceByChance,
      cell: ({ eceByChance }) => orDash(eceByChance, three),
    },
    {
      name: "brier",
      title: "Brier",
      numeric: true,
      value: ({ brier }) => brier,
      cell: ({ brier }) => orDash(brier, three),
    },
    {
      name: "auroc",
      title: "AUROC",
      numeric: true,
      value: ({ auroc }) => auroc.value,
      cell: ({ auroc }) => orDash(auroc.value, three),
    },
  ]);
  const coverage = dataset(`coverage_${i + 1}`, `${name}: coverage of prediction sets`, sets, [
    { name: "set", title: "Set", cell: null, value: () => name },
    { name: "decided_by", title: "Prediction sets of", value: (row) => row.name },
    {
      name: "level",
      title: "Asked for",
      numeric: true,
      value: ({ level }) => level,
      cell: ({ level }) => percent(level),
    },
    {
      name: "coverage",
      title: "Covered",
      numeric: true,
      value: (row) => row.coverage,
      cell: (row) => percent(row.coverage),
    },
    {
      name: "by_chance",
      title: "By chance ±",
      numeric: true,
      value: ({ byChance }) => byChance,
      cell: ({ byChance }) => percent(byChance),
    },
    {
      name: "size",
      title: "Choices in a set",
      numeric: true,
      value: (row) => row.size,
      cell: (row) => two(row.size),
    },
  ]);
  return sets.length === 0 ? [ways] : [ways, coverage];
}
