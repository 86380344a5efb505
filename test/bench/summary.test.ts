import { expect, test } from "vitest";
import { disturbanceOf, isBusy, medianOf, ratioOf, spreadOf } from "../../bench/harness/summary.ts";
import type { Load, Row } from "../../bench/harness/suite.ts";

const quiet: Load = { othersCores: 0.02, steal: 0 };
const busy: Load = { othersCores: 1.4, steal: 0.03 };

const row: Row = {
  what: "decode",
  unit: "tokens/s",
  better: "higher",
  samples: [
    { contender: "ours", values: [30, 10, 20], loads: [quiet, busy, quiet] },
    { contender: "theirs", values: [15, 5, 20], loads: [quiet, quiet, quiet] },
  ],
};

test("a spread is the median between the lowest and the highest value, whatever their order", () => {
  expect(spreadOf([30, 10, 20])).toStrictEqual({ median: 20, min: 10, max: 30, count: 3 });
  expect(spreadOf([4, 1, 3, 2]).median).toBe(2.5);
  expect(spreadOf([7])).toStrictEqual({ median: 7, min: 7, max: 7, count: 1 });
});

test("the median of no values is not a number", () => {
  expect(spreadOf([]).median).toBeNaN();
});

test("a ratio is taken round by round: a slow round of both does not change it", () => {
  const ratio = ratioOf([100, 10, 100], [50, 5, 50]);
  expect(ratio).toStrictEqual({ median: 2, min: 2, max: 2, count: 3 });
});

test("where rounds do not pair up the medians are divided", () => {
  expect(ratioOf([10, 20, 30], [5]).median).toBe(4);
});

test("the machine is busy when others use a tenth of a core or the host takes a hundredth of the time", () => {
  expect(isBusy(quiet)).toBe(false);
  expect(isBusy({ othersCores: 0.11, steal: 0 })).toBe(true);
  expect(isBusy({ othersCores: 0, steal: 0.02 })).toBe(true);
  expect(isBusy({ othersCores: null, steal: null })).toBe(false);
});

test("a disturbance counts the values measured while others worked", () => {
  expect(disturbanceOf([row])).toStrictEqual({
    values: 6,
    disturbed: 1,
    mostCores: 1.4,
    mostSteal: 0.03,
    known: true,
  });
});

test("asking for what was not measured names it", () => {
  expect(medianOf([row], "decode", "ours")).toBe(20);
  expect(() => medianOf([row], "decode", "nobody")).toThrow("nothing was measured of nobody: decode");
});
