import { escapeXml } from "../alignment/escape-xml.ts";
import type { ReliabilityBin } from "../stats/reliability.ts";
import type { RiskCoveragePoint } from "../stats/ranking.ts";
import type { ConfidenceRow, Estimate, SetReport } from "./confidence-report.ts";
import { ENSEMBLE_ID } from "./engine.ts";

export interface ConfidencePage {
  /** The members, and what confidences are told by. */
  readonly about: readonly string[];
  readonly sets: readonly SetReport[];
}

const SIDE = 240;
const LEFT = 42;
const TOP = 12;
const WIDTH = LEFT + SIDE + 16;
const HEIGHT = TOP + SIDE + 40;
const TICKS = [0, 0.25, 0.5, 0.75, 1];

/** What confidences are worth, as one HTML page that needs nothing else: light or dark with the reader's setting. */
export function confidencePage({ about, sets }: ConfidencePage): string {
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    "<title>How far Concord's confidence can be trusted</title>",
    STYLE,
    "</head><body><main>",
    "<h1>How far Concord’s confidence can be trusted</h1>",
    ...about.map((line) => `<p class="faint">${escapeXml(line)}</p>`),
    `<p>All numbers are of questions that neither the decisions nor their calibration have seen. <b>ECE</b> is the expected
     calibration error in 15 bins of one width, and of one mass; “by chance” is what it would be on average were every
     confidence exactly right. <b>AUROC</b>: how well confidence tells right from wrong answers. Intervals are 95 %, by
     bootstrap over questions.</p>`,
    ...sets.map(section),
    "</main></body></html>",
    "",
  ].join("\n");
}

function section({ name, rows, sets, disagreement }: SetReport): string {
  const drawn = rows.filter((row) => row.calibrated).slice(0, 3);
  const gain =
    disagreement === null
      ? ""
      : `<p>Confidence and the members’ disagreement together: AUROC ${three(disagreement.both)}, confidence alone
         ${three(disagreement.confidence)}; difference ${signed(disagreement.difference.value)}
         (${signed(disagreement.difference.interval.low)} to ${signed(disagreement.difference.interval.high)}).</p>`;
  return [
    `<section><h2>${escapeXml(name)}</h2>`,
    `<div class="charts">${drawn.map(reliabilityFigure).join("")}${riskFigure(drawn)}</div>`,
    table(
      ["", "items", "right", "ECE", "equal mass", "by chance", "Brier", "NLL", "AUROC", "AURC"],
      rows.map((row) => [
        row.name,
        `${row.items}`,
        percent(row.accuracy),
        withInterval(row.eceWidth),
        three(row.eceMass.value),
        three(row.eceByChance),
        three(row.brier),
        three(row.nll),
        withInterval(row.auroc),
        three(row.aurc),
      ]),
      (row) => row === ENSEMBLE_ID,
    ),
    gain,
    sets.length === 0
      ? ""
      : table(
          ["prediction sets", "asked for", "covered", "by chance ±", "choices in a set"],
          sets.map((row) => [
            row.name,
            percent(row.level),
            percent(row.coverage),
            percent(row.byChance),
            row.size.toFixed(2),
          ]),
          (row) => row === ENSEMBLE_ID,
        ),
    "</section>",
  ].join("\n");
}

function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  isOurs: (name: string) => boolean,
): string {
  const body = rows.map(
    (row) => `<tr${isOurs(row[0] ?? "") ? ' class="ours"' : ""}>${cells("td", row)}</tr>`,
  );
  return `<div class="wide"><table><thead><tr>${cells("th", head)}</tr></thead><tbody>${body.join("\n")}</tbody></table></div>`;
}

function cells(tag: string, row: readonly string[]): string {
  return row.map((cell) => `<${tag}>${escapeXml(cell)}</${tag}>`).join("");
}

/** Share of right answers against confidence; a dot's area grows with the answers in its bin. */
function reliabilityFigure({ name, bins, items }: ConfidenceRow): string {
  const dots = bins.map((bin) => {
    const radius = Math.max(2, 14 * Math.sqrt(bin.count / items));
    return `<g><title>${escapeXml(binTitle(bin))}</title><line class="gap" x1="${x(bin.confidence)}" y1="${y(bin.confidence)}" x2="${x(bin.confidence)}" y2="${y(bin.accuracy)}"/><circle class="dot" cx="${x(bin.confidence)}" cy="${y(bin.accuracy)}" r="${radius.toFixed(1)}"/></g>`;
  });
  const diagonal = `<line class="ideal" x1="${x(0)}" y1="${y(0)}" x2="${x(1)}" y2="${y(1)}"/>`;
  return figure(name, frame("confidence", "share right") + diagonal + dots.join(""));
}

/** Share of wrong answers among those given, against the share given. */
function riskFigure(rows: readonly ConfidenceRow[]): string {
  const lines = rows.map(
    ({ name, riskCoverage }, i) =>
      `<polyline class="line line-${i}" points="${riskCoverage.map(pointOf).join(" ")}"><title>${escapeXml(name)}</title></polyline>`,
  );
  const legend = rows.map(({ name }, i) => `<span class="key key-${i}">${escapeXml(name)}</span>`);
  return figure(
    "risk by coverage",
    frame("share of answers given", "share wrong") + lines.join(""),
    legend.join(" "),
  );
}

function pointOf({ coverage, risk }: RiskCoveragePoint): string {
  return `${x(coverage)},${y(risk)}`;
}

function figure(title: string, drawing: string, legend = ""): string {
  return `<figure><svg role="img" aria-label="${escapeXml(title)}" viewBox="0 0 ${WIDTH} ${HEIGHT}">${drawing}</svg><figcaption>${escapeXml(title)}${legend === "" ? "" : `<br>${legend}`}</figcaption></figure>`;
}

function frame(across: string, up: string): string {
  const ticks = TICKS.map(
    (at) =>
      `<line class="grid" x1="${x(at)}" y1="${y(0)}" x2="${x(at)}" y2="${y(1)}"/><line class="grid" x1="${x(0)}" y1="${y(at)}" x2="${x(1)}" y2="${y(at)}"/>` +
      `<text class="middle" x="${x(at)}" y="${y(0) + 14}">${at}</text><text class="end" x="${LEFT - 6}" y="${y(at) + 4}">${at}</text>`,
  );
  return (
    ticks.join("") +
    `<text class="middle" x="${x(0.5)}" y="${y(0) + 32}">${across}</text>` +
    `<text class="middle" transform="translate(11 ${y(0.5)}) rotate(-90)">${up}</text>`
  );
}

function x(share: number): number {
  return Math.round(10 * (LEFT + SIDE * share)) / 10;
}

function y(share: number): number {
  return Math.round(10 * (TOP + SIDE * (1 - share))) / 10;
}

function binTitle({ count, confidence, accuracy }: ReliabilityBin): string {
  return `${count} answers of mean confidence ${three(confidence)}: ${percent(accuracy)} right`;
}

function withInterval({ value, interval }: Estimate): string {
  return `${three(value)} (${three(interval.low)}–${three(interval.high)})`;
}

function three(value: number): string {
  return Number.isNaN(value) ? "–" : value.toFixed(3);
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${three(Math.abs(value))}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

const STYLE = `<style>
:root{color-scheme:light dark;--ink:#1f2328;--faint:#59636e;--paper:#fff;--line:#d1d9e0;--ours:#0969da;--tint:#ddf4ff;--second:#bc4c00;--third:#8250df}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--faint:#9198a1;--paper:#0d1117;--line:#2a313c;--ours:#4493f8;--tint:#121d2f;--second:#f0883e;--third:#ab7df8}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:24px 16px}
h1{font-size:26px}h2{font-size:19px;margin-top:40px;border-top:1px solid var(--line);padding-top:20px}
.faint,figcaption{color:var(--faint)}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:16px}
figure{margin:0}figcaption{font-size:13px;text-align:center}svg{width:100%;height:auto}
svg text{font:11px system-ui,sans-serif;fill:var(--faint)}.middle{text-anchor:middle}.end{text-anchor:end}
.grid{stroke:var(--line)}.ideal{stroke:var(--faint);stroke-dasharray:4 4}.gap{stroke:var(--second);stroke-width:2}
.dot{fill:var(--ours);fill-opacity:.75}.line{fill:none;stroke-width:2}
.line-0{stroke:var(--ours)}.line-1{stroke:var(--second)}.line-2{stroke:var(--third)}
.key{white-space:nowrap}.key::before{content:"";display:inline-block;width:14px;height:3px;margin:0 5px 3px 8px}
.key-0::before{background:var(--ours)}.key-1::before{background:var(--second)}.key-2::before{background:var(--third)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums;margin:14px 0}
th,td{padding:5px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}th{color:var(--faint);font-weight:600}.ours{background:var(--tint);font-weight:600}
</style>`;
