import type { ReliabilityBin } from "../stats/reliability.ts";
import type { RiskCoveragePoint } from "../stats/ranking.ts";
import { escapeXml } from "./escape-xml.ts";
import { legendKey } from "./line-chart.ts";
import { tenth } from "./scale.ts";

const SIDE = 240;
const LEFT = 42;
const TOP = 12;
const WIDTH = LEFT + SIDE + 16;
const HEIGHT = TOP + SIDE + 40;
const TICKS = [0, 0.25, 0.5, 0.75, 1];

/** What one way to answer comes to. */
export interface Reliability {
  readonly name: string;
  readonly bins: readonly ReliabilityBin[];
}

export interface RiskByCoverage {
  readonly name: string;
  readonly riskCoverage: readonly RiskCoveragePoint[];
}

/** Share of right answers against confidence, as a figure; a dot's area grows with the answers in its bin. */
export function reliabilityFigure({ name, bins }: Reliability): string {
  const items = bins.reduce((sum, { count }) => sum + count, 0);
  const dots = bins.map((bin) => {
    const radius = Math.max(2, 14 * Math.sqrt(bin.count / items));
    return `<g><title>${escapeXml(binTitle(bin))}</title><line class="gap" x1="${x(bin.confidence)}" y1="${y(bin.confidence)}" x2="${x(bin.confidence)}" y2="${y(bin.accuracy)}"/><circle class="dot" cx="${x(bin.confidence)}" cy="${y(bin.accuracy)}" r="${radius.toFixed(1)}"/></g>`;
  });
  const diagonal = `<line class="ideal" x1="${x(0)}" y1="${y(0)}" x2="${x(1)}" y2="${y(1)}"/>`;
  return figure(name, frame("confidence", "share right") + diagonal + dots.join(""));
}

/** Share of wrong answers among those given, against the share given, as a figure. */
export function riskFigure(rows: readonly RiskByCoverage[]): string {
  const lines = rows.map(
    ({ name, riskCoverage }, i) =>
      `<polyline class="line line-${i}" points="${riskCoverage.map(pointOf).join(" ")}"><title>${escapeXml(name)}</title></polyline>`,
  );
  const legend = rows.map(({ name }, i) => legendKey(name, i));
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
  return `<figure class="square"><svg role="img" aria-label="${escapeXml(title)}" viewBox="0 0 ${WIDTH} ${HEIGHT}">${drawing}</svg><figcaption>${escapeXml(title)}${legend === "" ? "" : `<br>${legend}`}</figcaption></figure>`;
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
  return tenth(LEFT + SIDE * share);
}

function y(share: number): number {
  return tenth(TOP + SIDE * (1 - share));
}

function binTitle({ count, confidence, accuracy }: ReliabilityBin): string {
  return `${count} answers of mean confidence ${confidence.toFixed(3)}: ${(100 * accuracy).toFixed(1)} % right`;
}
