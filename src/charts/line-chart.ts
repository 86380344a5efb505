import { escapeXml } from "./escape-xml.ts";
import { axisOf, tenth, tickDecimals, ticksOf, type AxisRange } from "./scale.ts";

/** A place on the x axis with a value there; null: nothing was measured, and the line is broken. */
export interface ChartPoint {
  readonly x: number;
  readonly y: number | null;
  /** Where the value lies; drawn as a band around the line. */
  readonly interval?: { readonly low: number; readonly high: number } | undefined;
}

export interface ChartSeries {
  readonly name: string;
  readonly points: readonly ChartPoint[];
}

/** A part of the x axis that tells of itself when pointed at, and may lead somewhere. */
export interface ChartSlot {
  readonly from: number;
  readonly to: number;
  readonly title: string;
  readonly href?: string | undefined;
}

export interface ChartMark {
  readonly x: number;
  readonly title: string;
}

export interface LineChart {
  /** What it shows, in one sentence: the text alternative. */
  readonly label: string;
  readonly height: number;
  readonly x: { readonly from: number; readonly to: number };
  readonly xTicks: readonly { readonly at: number; readonly text: string }[];
  /** Writes a value of the y axis, given decimals that tell ticks apart. */
  readonly yText: (value: number, decimals: number) => string;
  readonly yFromZero: boolean;
  readonly series: readonly ChartSeries[];
  /** Bars from 0 up instead of lines: only the first series. */
  readonly bars?: boolean | undefined;
  /** A line across at this value. */
  readonly level?: number | undefined;
  readonly marks?: readonly ChartMark[] | undefined;
  readonly slots?: readonly ChartSlot[] | undefined;
}

const TOP = 8;
const AXIS = 20;
/** Units of the stretched drawing inside: its width. */
const WIDTH = 1000;
/** Texts nearer to an end, in percent, begin or end there. */
const EDGE = 4;

/**
 * Lines over time or anything else that grows, as SVG in HTML that is as wide as its place: text keeps its size, lines their width.
 * Colours and dashes are of `CHART_STYLE`, by the place of the series.
 */
export function lineChart(chart: LineChart): string {
  const { height, series, level } = chart;
  const values = series.flatMap(({ points }) =>
    points.flatMap(({ y, interval }) =>
      y === null ? [] : interval === undefined ? [y] : [y, interval.low, interval.high],
    ),
  );
  const axis = axisOf(
    level === undefined ? values : [...values, level],
    Math.max(2, height / 50),
    chart.yFromZero,
  );
  const plot = height - TOP - AXIS;
  const y = (value: number): number => tenth(TOP + (plot * (axis.high - value)) / (axis.high - axis.low));
  const percent = (at: number): number => tenth(share(chart, at) * 100);
  return [
    '<div class="plot">',
    `<svg class="chart" role="img" aria-label="${escapeXml(chart.label)}" width="100%" height="${height}">`,
    ...ticksOf(axis).map(
      (value) => `<line class="grid" x1="0" x2="100%" y1="${y(value)}" y2="${y(value)}"/>`,
    ),
    level === undefined ? "" : `<line class="ideal" x1="0" x2="100%" y1="${y(level)}" y2="${y(level)}"/>`,
    ...chart.xTicks.map(({ at, text }) => {
      const place = percent(at);
      const anchor = place < EDGE ? "" : place > 100 - EDGE ? ' class="end"' : ' class="middle"';
      return `<text${anchor} x="${place}%" y="${height - 5}">${escapeXml(text)}</text>`;
    }),
    `<svg viewBox="0 0 ${WIDTH} ${height}" preserveAspectRatio="none" width="100%" height="${height}">`,
    ...(chart.bars === true ? bars(chart, y) : series.map((one, i) => drawSeries(chart, one, i, y))),
    "</svg>",
    ...lonelyPoints(chart, percent, y),
    ...levelTexts(chart, axis, y),
    ...(chart.marks ?? []).map(
      ({ x, title }) =>
        `<g class="mark"><title>${escapeXml(title)}</title><line x1="${percent(x)}%" x2="${percent(x)}%" y1="${TOP}" y2="${TOP + plot}"/><circle cx="${percent(x)}%" cy="${TOP}" r="4"/></g>`,
    ),
    "</svg>",
    slots(chart, plot, percent),
    "</div>",
  ].join("");
}

/** A series' name with a piece of its line, as HTML. */
export function legendKey(name: string, i: number): string {
  return `<span class="key"><svg aria-hidden="true" viewBox="0 0 22 8"><line class="line line-${i}" x1="0" y1="4" x2="22" y2="4"/></svg>${escapeXml(name)}</span>`;
}

/** A line without axes, for a place beside a number: decoration, hidden from screen readers. */
export function sparkline(values: readonly (number | null)[]): string {
  const known = values.filter((value) => value !== null);
  const { low, high } = axisOf(known, 2, false);
  const points = values.map((value, x) => ({ x, y: value }));
  const y = (value: number): number => tenth(22 - (20 * (value - low)) / (high - low));
  const path = linePath(points, (x) => tenth((WIDTH * x) / Math.max(1, values.length - 1)), y);
  return `<svg class="spark" aria-hidden="true" viewBox="0 0 ${WIDTH} 24" preserveAspectRatio="none"><path class="line line-0" d="${path}"/></svg>`;
}

function share({ x: { from, to } }: LineChart, at: number): number {
  return (at - from) / (to - from);
}

/** Over the lines, which may run through them. */
function levelTexts(chart: LineChart, axis: AxisRange, y: (value: number) => number): string[] {
  const decimals = tickDecimals(axis);
  return ticksOf(axis).map(
    (value) =>
      `<text x="0" y="${y(value) + (value >= axis.high ? 12 : -4)}">${escapeXml(chart.yText(value, decimals))}</text>`,
  );
}

function drawSeries(
  chart: LineChart,
  { points }: ChartSeries,
  i: number,
  y: (value: number) => number,
): string {
  const x = (at: number): number => tenth(WIDTH * share(chart, at));
  const band = points.flatMap(({ x: at, interval }) => (interval === undefined ? [] : [{ at, ...interval }]));
  const around =
    band.length < 2
      ? ""
      : `<polygon class="band band-${i}" points="${[
          ...band.map(({ at, high }) => `${x(at)},${y(high)}`),
          ...band.toReversed().map(({ at, low }) => `${x(at)},${y(low)}`),
        ].join(" ")}"/>`;
  return `${around}<path class="line line-${i}" d="${linePath(points, x, y)}"/>`;
}

function linePath(
  points: readonly ChartPoint[],
  x: (at: number) => number,
  y: (value: number) => number,
): string {
  let path = "";
  let broken = true;
  for (const point of points) {
    if (point.y !== null) path += `${broken ? "M" : "L"}${x(point.x)} ${y(point.y)}`;
    broken = point.y === null;
  }
  return path;
}

/** Values with none on either side make no line: they are dots. */
function lonelyPoints(
  { series, bars: asBars }: LineChart,
  percent: (at: number) => number,
  y: (value: number) => number,
): string[] {
  if (asBars === true) return [];
  return series.flatMap(({ points }, i) =>
    points.flatMap((point, at) =>
      point.y === null || points[at - 1]?.y != null || points[at + 1]?.y != null
        ? []
        : [`<circle class="lone lone-${i}" cx="${percent(point.x)}%" cy="${y(point.y)}" r="2.5"/>`],
    ),
  );
}

function bars(chart: LineChart, y: (value: number) => number): string[] {
  const [first] = chart.series;
  const width = (WIDTH * 0.8) / Math.max(1, first?.points.length ?? 1);
  return (first?.points ?? []).flatMap(({ x, y: value }) => {
    if (value === null || value === 0) return [];
    const left = tenth(WIDTH * share(chart, x) - width / 2);
    return [
      `<rect class="bar" x="${left}" y="${y(value)}" width="${tenth(width)}" height="${tenth(y(0) - y(value))}"/>`,
    ];
  });
}

/** Over the picture, which must have nothing to press in it; hidden from screen readers and the keyboard: what they lead to is also in the table. */
function slots(
  { slots: all = [], height }: LineChart,
  plot: number,
  percent: (at: number) => number,
): string {
  const drawn = all.map(({ from, to, title, href }) => {
    const area = `<rect class="slot" x="${percent(from)}%" y="${TOP}" width="${tenth(percent(to) - percent(from))}%" height="${plot}"><title>${escapeXml(title)}</title></rect>`;
    return href === undefined ? area : `<a href="${escapeXml(href)}" tabindex="-1">${area}</a>`;
  });
  return drawn.length === 0
    ? ""
    : `<svg class="slots" aria-hidden="true" width="100%" height="${height}">${drawn.join("")}</svg>`;
}
