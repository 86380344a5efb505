import { describe, expect, test } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import {
  argMax,
  entropy,
  jensenShannon,
  klDivergence,
  logSumExp,
  logSoftmax,
  softmax,
} from "../../src/stats/distributions.ts";
import { expNonPositive } from "../../src/stats/exponential.ts";
import golden from "../golden/distributions.json" with { type: "json" };
import { largestDifference } from "../linalg/planted.ts";

const rows = golden.rows.map((row) => Float32Array.from(row));
const [first, second] = rows as [Float32Array, Float32Array];
const masked = Float32Array.of(0, Number.NEGATIVE_INFINITY, 0);

describe("distributions over logits", () => {
  test("equal scipy's logsumexp, softmax and entropies", () => {
    for (const [i, row] of rows.entries()) {
      expect(logSumExp(row)).toBeCloseTo(golden.logSumExp[i]!, 9);
      expect(entropy(row)).toBeCloseTo(golden.entropy[i]!, 9);
      const probabilities = row.slice();
      expect(softmax(probabilities)).toBeCloseTo(golden.logSumExp[i]!, 9);
      // Single precision in and out.
      expect(largestDifference(probabilities, golden.softmax[i]!)).toBeLessThan(6e-8);
      const logprobs = row.slice();
      expect(logSoftmax(logprobs)).toBeCloseTo(golden.logSumExp[i]!, 9);
      expect(largestDifference(logprobs.map(Math.exp), golden.softmax[i]!)).toBeLessThan(1e-6);
    }
  });

  test("equal scipy's Kullback–Leibler and Jensen–Shannon divergences to 1e-9", () => {
    expect(klDivergence(first, second)).toBeCloseTo(golden.kl01, 9);
    expect(jensenShannon([first, second]).divergence).toBeCloseTo(golden.js01, 9);
    const three = jensenShannon(rows);
    expect(three.divergence).toBeCloseTo(golden.js012, 9);
    expect(largestDifference(three.entropies, golden.entropy)).toBeLessThan(1e-9);
  });

  test("do not change when a constant is added to all logits", () => {
    const shifted = first.map((x) => x + 64);
    expect(jensenShannon([first, shifted]).divergence).toBeLessThan(1e-9);
    expect(klDivergence(first, shifted)).toBeLessThan(1e-6);
    expect(entropy(shifted)).toBeCloseTo(entropy(first), 5);
  });

  test("Jensen–Shannon is 0 for equal and ln m for disjoint distributions, and never leaves that range", () => {
    expect(jensenShannon([first, first]).divergence).toBeLessThan(1e-12);
    const away = [0, 1, 2].map((k) => Float32Array.from({ length: 9 }, (_, v) => (v === k ? 0 : -2000)));
    expect(jensenShannon(away).divergence).toBeCloseTo(Math.log(3), 12);
    expect(jensenShannon([first]).divergence).toBe(0);
    const random = createRandom(1);
    for (let i = 0; i < 50; i++) {
      const pair = [0, 1].map(() => Float32Array.from({ length: 20 }, () => 6 * random.normal()));
      const { divergence } = jensenShannon(pair);
      expect(divergence).toBeGreaterThan(0);
      expect(divergence).toBeLessThanOrEqual(Math.LN2);
      expect(jensenShannon(pair.toReversed()).divergence).toBeCloseTo(divergence, 12);
    }
  });

  test("the entropy of a uniform distribution is ln V and that of a certain one is 0", () => {
    expect(entropy(new Float32Array(49_152))).toBeCloseTo(Math.log(49_152), 9);
    expect(entropy(Float32Array.of(0, -1000, -1000))).toBe(0);
  });

  test("a logit of −∞ is a probability of 0", () => {
    expect(entropy(masked)).toBeCloseTo(Math.LN2, 12);
    const probabilities = masked.slice();
    softmax(probabilities);
    expect(probabilities).toEqual(Float32Array.of(0.5, 0, 0.5));
    expect(klDivergence(Float32Array.of(0, 0, 0), masked)).toBe(Number.POSITIVE_INFINITY);
    expect(klDivergence(masked, Float32Array.of(0, 0, 0))).toBeCloseTo(Math.log(1.5), 9);
  });

  test("argMax takes the first of equal logits and steps over NaN", () => {
    expect(argMax(Float32Array.of(1, 3, 3))).toBe(1);
    expect(argMax(Float32Array.of(Number.NaN, -2))).toBe(1);
  });

  test("rows that are no distribution are refused by name", () => {
    const none = Float32Array.of(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY);
    expect(() => argMax(new Float32Array(0))).toThrow("argMax: expected at least one finite logit");
    expect(() => logSumExp(none)).toThrow("logSumExp: expected at least one finite logit");
    expect(() => entropy(Float32Array.of(Number.POSITIVE_INFINITY))).toThrow("entropy: ");
    expect(() => jensenShannon([first, none])).toThrow("expected rows of one length, got (60, 2)");
    expect(() => jensenShannon([])).toThrow("got ()");
    expect(() => klDivergence(first, none)).toThrow("p (60) and q (2) differ in length");
  });
});

describe("expNonPositive", () => {
  test("is Math.exp to a relative 1e-11 down to −700", () => {
    const random = createRandom(2);
    for (let i = 0; i < 20_000; i++) {
      const x = -700 * random.next() ** 4;
      expect(Math.abs(expNonPositive(x) / Math.exp(x) - 1)).toBeLessThan(1e-11);
    }
    expect(expNonPositive(0)).toBe(1);
  });

  test("ends in 0 and keeps NaN", () => {
    expect(expNonPositive(-746)).toBe(0);
    expect(expNonPositive(Number.NEGATIVE_INFINITY)).toBe(0);
    expect(expNonPositive(Number.NaN)).toBeNaN();
  });
});
