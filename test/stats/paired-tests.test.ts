import { describe, expect, test } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import { mcnemarTest } from "../../src/stats/mcnemar.ts";
import { pairedBootstrap } from "../../src/stats/paired-bootstrap.ts";
import { wilsonInterval } from "../../src/stats/proportion.ts";
import golden from "../golden/paired-tests.json" with { type: "json" };

const resamples = 20_000;

describe("wilsonInterval", () => {
  test("equals statsmodels' to 1e-12", () => {
    for (const { successes, n, low, high } of golden.wilson) {
      expect(wilsonInterval(successes, n).low).toBeCloseTo(low, 12);
      expect(wilsonInterval(successes, n).high).toBeCloseTo(high, 12);
    }
  });

  test("mirrors when right and wrong change places", () => {
    const { low, high } = wilsonInterval(31, 40);
    expect(wilsonInterval(9, 40).low).toBeCloseTo(1 - high, 12);
    expect(wilsonInterval(9, 40).high).toBeCloseTo(1 - low, 12);
  });

  test("refuses no items, and more successes than items", () => {
    expect(() => wilsonInterval(0, 0)).toThrow(RangeError);
    expect(() => wilsonInterval(3, 2)).toThrow(/3 of 2/);
  });
});

describe("mcnemarTest", () => {
  test("equals statsmodels' exact p-value to 1e-9", () => {
    for (const { onlyFirst, onlySecond, p } of golden.mcnemar) {
      expect(mcnemarTest(onlyFirst, onlySecond)).toBeCloseTo(p, 9);
    }
  });

  test("does not depend on which is first", () => {
    expect(mcnemarTest(17, 4)).toBe(mcnemarTest(4, 17));
  });

  test("refuses what is no count", () => {
    expect(() => mcnemarTest(-1, 2)).toThrow(RangeError);
    expect(() => mcnemarTest(0.5, 2)).toThrow(RangeError);
  });
});

describe("pairedBootstrap", () => {
  const { shares, ratio } = golden;

  test("equals scipy's percentile interval of a difference of shares to one item", () => {
    const ones = shares.differences.map(() => 1);
    const { low, high } = pairedBootstrap(shares.differences, ones, { random: createRandom(1), resamples });
    expect(Math.abs(low - shares.low)).toBeLessThan(1.01 / ones.length);
    expect(Math.abs(high - shares.high)).toBeLessThan(1.01 / ones.length);
  });

  test("equals scipy's percentile interval of a ratio to 3 % of its width", () => {
    const options = { random: createRandom(2), resamples };
    const { low, high } = pairedBootstrap(ratio.differences, ratio.sizes, options);
    const width = ratio.high - ratio.low;
    expect(Math.abs(low - ratio.low) / width).toBeLessThan(0.03);
    expect(Math.abs(high - ratio.high) / width).toBeLessThan(0.03);
  });

  test("is the same for the same seed", () => {
    const [first, second] = [3, 3].map((seed) =>
      pairedBootstrap(ratio.differences, ratio.sizes, { random: createRandom(seed), resamples: 100 }),
    );
    expect(first).toEqual(second);
  });

  test("is a point where all units differ alike", () => {
    const options = { random: createRandom(4), resamples: 50 };
    expect(pairedBootstrap([2, 2, 2], [4, 4, 4], options)).toEqual({ low: 0.5, high: 0.5 });
  });

  test("covers the true difference about 95 times in 100", () => {
    const random = createRandom(5);
    const trials = 400;
    let covered = 0;
    for (let trial = 0; trial < trials; trial++) {
      // One is right with 0.7 and the other with 0.6: the true difference is 0.1.
      const differences = Array.from(
        { length: 150 },
        () => Number(random.next() < 0.7) - Number(random.next() < 0.6),
      );
      const ones = differences.map(() => 1);
      const { low, high } = pairedBootstrap(differences, ones, { random, resamples: 400 });
      if (low <= 0.1 && 0.1 <= high) covered++;
    }
    expect(covered / trials).toBeGreaterThan(0.92);
    expect(covered / trials).toBeLessThan(0.98);
  });

  test("refuses no units, unequal lengths and empty units", () => {
    const options = { random: createRandom(6), resamples: 10 };
    expect(() => pairedBootstrap([], [], options)).toThrow(RangeError);
    expect(() => pairedBootstrap([1], [1, 1], options)).toThrow(RangeError);
    expect(() => pairedBootstrap([1], [0], options)).toThrow(RangeError);
  });
});
