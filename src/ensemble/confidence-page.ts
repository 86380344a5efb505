import { escapeXml } from "../charts/escape-xml.ts";
import { CHART_STYLE, PALETTE_STYLE } from "../charts/palette.ts";
import { reliabilityFigure, riskFigure } from "../charts/unit-square.ts";
import type { Estimate, SetReport } from "./confidence-report.ts";
import { ENSEMBLE_ID } from "./engine.ts";

export interface ConfidencePage {
  /** The members, and what confidences are told by. */
  readonly about: readonly string[];
  readonly sets: readonly SetReport[];
}

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
    `<div class="charts">${drawn.map((row) => reliabilityFigure(row)).join("")}${riskFigure(drawn)}</div>`,
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
${PALETTE_STYLE}
${CHART_STYLE}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:24px 16px}
h1{font-size:26px}h2{font-size:19px;margin-top:40px;border-top:1px solid var(--line);padding-top:20px}
.faint{color:var(--faint)}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:16px}
figcaption{text-align:center}.square>svg{width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums;margin:14px 0}
th,td{padding:5px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}th{color:var(--faint);font-weight:600}.ours{background:var(--tint);font-weight:600}
</style>`;
