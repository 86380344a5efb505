import { escapeXml } from "../charts/escape-xml.ts";
import { roundStep, tenth, tickDecimals, ticksOf, type AxisRange } from "../charts/scale.ts";
import type { QualityCurves, QualityPoint } from "./quality-curves.ts";

const LEFT = 60;
const TOP = 118;
const PLOT_WIDTH = 430;
const PLOT_HEIGHT = 280;
const BETWEEN = 46;
const RIGHT = 28;
const AXIS = 52;
const LEGEND_LINE = 18;
const WIDTH = LEFT + 2 * PLOT_WIDTH + BETWEEN + RIGHT;
/** Room between the outermost points and the frame. */
const INSET = 22;
/** Room that the numbers of a point take. */
const LABEL_WIDTH = 36;
/** Strokes of the members' lines, by turns. */
const DASHES = ["7 4", "2 3", "10 3 2 3", "4 6"] as const;

/** One panel: loss against something that grows by factors. */
interface Panel {
  readonly title: string;
  readonly axis: string;
  /** Left edge of the plot. */
  readonly left: number;
  readonly points: readonly QualityPoint[];
  readonly xOf: (point: QualityPoint) => number;
  /** A point apart from the curve. */
  readonly mark: QualityPoint | null;
}

/**
 * Loss against k and against the tokens of the fit as a standalone SVG of two panels, light or dark with the reader's
 * setting. Both x axes are logarithmic, and both panels share the y axis. The members' lines are what each comes to alone.
 */
export function qualityChart(curves: QualityCurves): string {
  const { byDimension, byTokens, refined } = curves;
  const range = rangeOf(curves);
  const tokens = byDimension[0]?.tokens ?? 0;
  const panels: Panel[] = [
    {
      title: `by dimension, fitted on ${grouped(tokens)} tokens`,
      axis: "dimension k of the shared space (logarithmic)",
      left: LEFT,
      points: byDimension,
      xOf: (point) => point.dimension,
      mark: refined,
    },
    {
      title: `by length of the text, k = ${byTokens[0]?.dimension ?? 0}`,
      axis: "tokens that the maps were fitted on (logarithmic)",
      left: LEFT + PLOT_WIDTH + BETWEEN,
      points: byTokens,
      xOf: (point) => point.tokens,
      mark: null,
    },
  ];
  const legend = legendLines(curves);
  const height = TOP + PLOT_HEIGHT + AXIS + LEGEND_LINE * legend.length + 12;
  const title = `What ${curves.ids.join(" and ")} foresee together`;
  const about = descriptionLines(curves);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<title id="title">${escapeXml(title)}</title>`,
    `<desc id="desc">${escapeXml(about.join(" "))}</desc>`,
    style(),
    `<rect class="paper" width="${WIDTH}" height="${height}" rx="8"/>`,
    `<text class="strong" x="16" y="26">${escapeXml(title)}</text>`,
    ...about.map((line, i) => `<text class="faint" x="16" y="${45 + 16 * i}">${escapeXml(line)}</text>`),
    `<text class="middle" transform="translate(16 ${TOP + PLOT_HEIGHT / 2}) rotate(-90)">nats per token</text>`,
    ...panels.map((panel) => drawPanel(panel, curves, range)),
    ...legend.map((entry, i) => legendLine(entry, TOP + PLOT_HEIGHT + AXIS + 8 + LEGEND_LINE * i)),
    "</svg>",
    "",
  ].join("\n");
}

function descriptionLines({ ids, choosePositions, reportPositions, byDimension }: QualityCurves): string[] {
  return [
    `Mean −ln p of the next token of ${ids[0]}, lower is better, at ${grouped(reportPositions)} positions of held-back documents that are fused;`,
    `each point is a closed-form fit of its own with weights chosen on ${grouped(choosePositions)} other positions, in float32.`,
    `At full rank, k = ${byDimension.at(-1)?.dimension}, the space loses nothing: the ensemble is the log-linear pool of the members' own heads.`,
  ];
}

function style(): string {
  return [
    "<style>",
    "text{font:11px system-ui,sans-serif;fill:#1f2328;font-variant-numeric:tabular-nums}",
    ".strong{font-size:14px;font-weight:600}.faint{fill:#59636e}.middle{text-anchor:middle}.end{text-anchor:end}",
    ".value{paint-order:stroke;stroke:#ffffff;stroke-width:3px;stroke-linejoin:round}.paper{fill:#ffffff}.grid{stroke:#d1d9e0;stroke-width:1}.frame{fill:none;stroke:#818b98}",
    ".curve{fill:none;stroke:#0969da;stroke-width:2}.point{fill:#0969da}.refined{fill:#bc4c00}.member{stroke:#59636e;stroke-width:1.5}",
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.paper{fill:#0d1117}.value{stroke:#0d1117}.grid{stroke:#2a313c}.frame{stroke:#656c76}" +
      ".curve{stroke:#4493f8}.point{fill:#4493f8}.refined{fill:#f0883e}.member{stroke:#9198a1}}",
    "</style>",
  ].join("\n");
}

function drawPanel(panel: Panel, { byDimension }: QualityCurves, range: AxisRange): string {
  const { left, points, xOf, mark } = panel;
  const x = logScale(points.map(xOf), left + INSET, left + PLOT_WIDTH - INSET);
  const y = (nats: number): number =>
    tenth(TOP + (PLOT_HEIGHT * (range.high - nats)) / (range.high - range.low));
  const right = left + PLOT_WIDTH;
  const bottom = TOP + PLOT_HEIGHT;
  const ticks = ticksOf(range).map(
    (nats) =>
      `<line class="grid" x1="${left}" y1="${y(nats)}" x2="${right}" y2="${y(nats)}"/>` +
      `<text class="faint end" x="${left - 6}" y="${tenth(y(nats) + 4)}">${nats.toFixed(tickDecimals(range))}</text>`,
  );
  const lines = (byDimension.at(-1)?.memberNats ?? []).map(
    (nats, m) =>
      `<line class="member" stroke-dasharray="${dash(m)}" x1="${left}" y1="${y(nats)}" x2="${right}" y2="${y(nats)}"/>`,
  );
  const path = points.map((point) => `${x(xOf(point))},${y(point.nats)}`).join(" ");
  const labels = points.map((point, i) => {
    const at = x(xOf(point));
    const next = points[i + 1];
    const crowded = next !== undefined && x(xOf(next)) - at < LABEL_WIDTH;
    const [anchor, labelX] = crowded ? ["end", tenth(at + 6)] : ["middle", at];
    return (
      `<g><title>${escapeXml(pointTitle(point))}</title>` +
      `<circle class="point" cx="${at}" cy="${y(point.nats)}" r="4"/>` +
      `<text class="value ${anchor}" x="${labelX}" y="${tenth(y(point.nats) - 9)}">${point.nats.toFixed(3)}</text></g>` +
      `<text class="faint ${anchor}" x="${labelX}" y="${bottom + 16}">${xOf(point)}</text>`
    );
  });
  const refined =
    mark === null
      ? []
      : [
          `<g><title>${escapeXml(`refined, ${pointTitle(mark)}`)}</title>` +
            `<path class="refined" d="${diamond(x(xOf(mark)), y(mark.nats))}"/>` +
            `<text class="value middle" x="${x(xOf(mark))}" y="${tenth(y(mark.nats) + 19)}">${mark.nats.toFixed(3)}</text></g>`,
        ];
  return [
    `<text x="${left}" y="${TOP - 10}">${escapeXml(panel.title)}</text>`,
    ...ticks,
    `<rect class="frame" x="${left}" y="${TOP}" width="${PLOT_WIDTH}" height="${PLOT_HEIGHT}"/>`,
    ...lines,
    `<polyline class="curve" points="${path}"/>`,
    ...labels,
    ...refined,
    `<text class="faint middle" x="${left + PLOT_WIDTH / 2}" y="${bottom + 34}">${escapeXml(panel.axis)}</text>`,
  ].join("\n");
}

interface LegendEntry {
  readonly text: string;
  /** Draws its sign with the left end at (x, y). */
  readonly sign: (x: number, y: number) => string;
}

function legendLines({ ids, byDimension, refined }: QualityCurves): LegendEntry[] {
  const members = ids.map((id, m): LegendEntry => ({
    text: `${id} alone, its own head${m === 0 ? "" : ` read over the tokens of ${ids[0]}`}: ${byDimension.at(-1)?.memberNats[m]?.toFixed(3)}`,
    sign: (x, y) =>
      `<line class="member" stroke-dasharray="${dash(m)}" x1="${x}" y1="${y}" x2="${x + 30}" y2="${y}"/>`,
  }));
  const after: LegendEntry[] =
    refined === null
      ? []
      : [
          {
            text: `the same after refinement by distillation, k = ${refined.dimension}: ${refined.nats.toFixed(3)}`,
            sign: (x, y) => `<path class="refined" d="${diamond(x + 15, y)}"/>`,
          },
        ];
  return [
    {
      text: "all members fused, closed-form maps",
      sign: (x, y) =>
        `<line class="curve" x1="${x}" y1="${y}" x2="${x + 30}" y2="${y}"/><circle class="point" cx="${x + 15}" cy="${y}" r="4"/>`,
    },
    ...after,
    ...members,
  ];
}

function legendLine({ text, sign }: LegendEntry, y: number): string {
  return `${sign(LEFT, y - 4)}<text x="${LEFT + 40}" y="${y}">${escapeXml(text)}</text>`;
}

function pointTitle({ dimension, tokens, nats }: QualityPoint): string {
  return `k = ${dimension}, ${grouped(tokens)} tokens: ${nats.toFixed(4)} nats per token`;
}

/** Places of positive numbers between two ends, by their logarithms; a single one stands in the middle. */
function logScale(values: readonly number[], from: number, to: number): (value: number) => number {
  const low = Math.log(Math.min(...values));
  const high = Math.log(Math.max(...values));
  return (value) =>
    tenth(high > low ? from + ((to - from) * (Math.log(value) - low)) / (high - low) : (from + to) / 2);
}

/** All that is drawn, with room for the labels above and below. */
function rangeOf({ byDimension, byTokens, refined }: QualityCurves): AxisRange {
  const drawn = [...byDimension, ...byTokens, ...(refined === null ? [] : [refined])].map(({ nats }) => nats);
  drawn.push(...(byDimension.at(-1)?.memberNats ?? []));
  const [least, most] = [Math.min(...drawn), Math.max(...drawn)];
  const room = Math.max(0.12 * (most - least), 0.01);
  return { low: least - room, high: most + room, step: roundStep((most - least + 2 * room) / 6) };
}

function diamond(x: number, y: number): string {
  return `M${x} ${tenth(y - 6)}L${tenth(x + 6)} ${y}L${x} ${tenth(y + 6)}L${tenth(x - 6)} ${y}Z`;
}

function dash(m: number): string {
  return DASHES[m % DASHES.length] ?? DASHES[0];
}

/** `40,000`. */
function grouped(value: number): string {
  return value.toLocaleString("en-US");
}
