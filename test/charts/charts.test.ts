import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RAMP_INKS, rampColour, rampInk } from "../../src/charts/colour-ramp.ts";
import { lineChart, type LineChart } from "../../src/charts/line-chart.ts";
import { axisOf, tickDecimals, ticksOf } from "../../src/charts/scale.ts";

const values = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { maxLength: 40 });

describe("an axis", () => {
  test("spans all values with a few round ticks, whose texts differ", () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 2, max: 8 }), fc.boolean(), (given, wanted, fromZero) => {
        const axis = axisOf(given, wanted, fromZero);
        const room = 1e-8 * Math.max(Math.abs(axis.high), Math.abs(axis.low));
        for (const value of given) {
          expect(value).toBeGreaterThanOrEqual(axis.low - room);
          expect(value).toBeLessThanOrEqual(axis.high + room);
        }
        const ticks = ticksOf(axis);
        expect(ticks.length).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(wanted + 3);
        const texts = ticks.map((tick) => tick.toFixed(Math.min(20, tickDecimals(axis))));
        expect(new Set(texts).size).toBe(ticks.length);
        if (fromZero && given.every((value) => value >= 0)) expect(axis.low + 0).toBe(0);
      }),
      { seed: 3 },
    );
  });

  test("of the values 3, 5 and 12 runs from 2 to 12", () => {
    expect(axisOf([3, 5, 12], 5, false)).toEqual({ low: 2, high: 12, step: 2 });
    expect(ticksOf({ low: 2, high: 12, step: 2 })).toEqual([2, 4, 6, 8, 10, 12]);
  });
});

describe("a line chart", () => {
  test("has numbers for coordinates whatever the values, and its texts are no markup", () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.double({ min: -1e6, max: 1e6, noNaN: true })), { maxLength: 5 }),
        (ys) => {
          const svg = lineOf(ys.map((y, x) => ({ x, y })));
          expect(svg).not.toMatch(/NaN|Infinity|undefined|<b>|<two>/);
          expect(svg).toContain("&lt;two&gt;");
        },
      ),
      { seed: 4 },
    );
  });

  test("breaks its line where there is no value, and marks a lonely one with a dot", () => {
    const svg = lineOf([0, 1, null, 3, null].map((y, x) => ({ x, y })));
    expect(svg.match(/<path[^>]* d="([^"]*)"/)?.[1]?.match(/M/g)).toHaveLength(2);
    expect(svg.match(/<circle class="lone/g)).toHaveLength(1);
  });

  test("draws a band around a line with intervals, and bars from 0 up", () => {
    const interval = { low: 0, high: 2 };
    expect(lineOf([0, 1].map((x) => ({ x, y: 1, interval })))).toContain('class="band band-0"');
    const bars = lineOf(
      [
        { x: 1, y: 2 },
        { x: 2, y: 0 },
      ],
      true,
    );
    expect(bars.match(/<rect class="bar"/g)).toHaveLength(1);
  });
});

describe("the ramp of colours", () => {
  test("only darkens, and every colour's ink can be read on it", () => {
    let last = Infinity;
    for (let i = 0; i <= 100; i++) {
      const light = luminance(rampColour(i / 100));
      expect(light).toBeLessThanOrEqual(last);
      last = light;
      const ink = luminance(RAMP_INKS[rampInk(i / 100)]);
      const contrast = (Math.max(light, ink) + 0.05) / (Math.min(light, ink) + 0.05);
      expect(contrast).toBeGreaterThanOrEqual(4.5);
    }
  });
});

/** Relative luminance, WCAG 2.2. */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function lineOf(points: LineChart["series"][number]["points"], bars = false): string {
  return lineChart({
    label: 'a "label" & <b>',
    height: 100,
    x: { from: 0, to: 4 },
    xTicks: [{ at: 2, text: "<two>" }],
    yText: (value, decimals) => value.toFixed(decimals),
    yFromZero: true,
    series: [{ name: "one", points }],
    bars,
  });
}
