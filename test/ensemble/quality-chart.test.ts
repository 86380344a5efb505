import { describe, expect, test } from "vitest";
import { qualityChart } from "../../src/ensemble/quality-chart.ts";
import type { QualityCurves, QualityPoint } from "../../src/ensemble/quality-curves.ts";

const point = (dimension: number, tokens: number, nats: number): QualityPoint => ({
  dimension,
  tokens,
  nats,
  memberNats: [3.1, 2.9, 4.75],
});
const curves: QualityCurves = {
  ids: ["A<1>", "B & C", "D"],
  choosePositions: 1200,
  reportPositions: 600,
  byDimension: [point(128, 40_000, 3.3), point(512, 40_000, 2.71), point(1216, 40_000, 2.62)],
  byTokens: [point(512, 2500, 2.9), point(512, 10_000, 2.75), point(512, 40_000, 2.71)],
  refined: point(512, 40_000, 2.66),
};

/** Attributes of every element of a class, as numbers. */
function places(svg: string, pattern: RegExp): { x: number; y: number }[] {
  return Array.from(svg.matchAll(pattern), ([, x, y]) => ({ x: Number(x), y: Number(y) }));
}

describe("qualityChart", () => {
  const svg = qualityChart(curves);
  const circles = places(svg, /<\/title><circle class="point" cx="([\d.]+)" cy="([\d.]+)"/g);

  test("is a titled, described, standalone picture for light and dark", () => {
    expect(svg).toMatch(
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" role="img" aria-labelledby="title desc"/,
    );
    expect(svg).toContain('<title id="title">What A&lt;1&gt; and B &amp; C and D foresee together</title>');
    expect(svg).toContain("At full rank, k = 1216, the space loses nothing");
    expect(svg).toContain("prefers-color-scheme:dark");
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  test("closes every element it opens and leaves no bare markup from names", () => {
    const stack: string[] = [];
    for (const [, end, name, empty] of svg.matchAll(/<(\/?)([a-zA-Z]+)(?:\s[^<>]*?)?(\/?)>/g)) {
      if (end === "/") expect(stack.pop()).toBe(name);
      else if (empty !== "/") stack.push(name ?? "");
    }
    expect(stack).toEqual([]);
    expect(svg.replaceAll(/<\/?[a-zA-Z][^<>]*>/g, "")).not.toMatch(/[<>]|&(?!amp;|lt;|gt;|quot;)/);
  });

  test("holds every point with its numbers, the refined one apart", () => {
    expect(circles).toHaveLength(6);
    expect(svg).toContain("<title>k = 512, 10,000 tokens: 2.7500 nats per token</title>");
    expect(svg).toContain("<title>refined, k = 512, 40,000 tokens: 2.6600 nats per token</title>");
    for (const nats of ["3.300", "2.710", "2.620", "2.900", "2.750", "2.660"])
      expect(svg).toContain(`>${nats}</text>`);
  });

  test("its x axes are logarithmic, and a lower loss stands lower", () => {
    const [, , , first, second, third] = circles.map(({ x }) => x);
    expect((second ?? 0) - (first ?? 0)).toBeCloseTo((third ?? NaN) - (second ?? NaN), 0);
    expect(circles.map(({ y }) => y).slice(0, 3)).toEqual(
      circles
        .map(({ y }) => y)
        .slice(0, 3)
        .toSorted((a, b) => a - b),
    );
    // The same fit stands in both panels at the same height.
    expect(circles[1]?.y).toBe(circles[5]?.y);
  });

  test("a line for each member crosses both panels, and the legend tells them apart", () => {
    expect(svg.match(/<line class="member"/g)).toHaveLength(3 * 2 + 3);
    expect(new Set(Array.from(svg.matchAll(/stroke-dasharray="([^"]+)"/g), ([, dash]) => dash)).size).toBe(3);
    expect(svg).toContain("D alone, its own head read over the tokens of A&lt;1&gt;: 4.750");
  });

  test("one point a curve and no refinement are drawn too", () => {
    const only = point(512, 40_000, 2.71);
    const small = qualityChart({ ...curves, byDimension: [only], byTokens: [only], refined: null });
    expect(small).not.toMatch(/NaN|Infinity|undefined|class="refined"/);
    expect(small.match(/<\/title><circle class="point"/g)).toHaveLength(2);
  });
});
