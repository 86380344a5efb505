import { describe, expect, test } from "vitest";
import { createMoments } from "../../src/stats/moments.ts";
import golden from "../golden/distributions.json" with { type: "json" };
import { largestDifference } from "../linalg/planted.ts";

const sample = Float32Array.from(golden.sample);

describe("createMoments", () => {
  test("equals numpy's weighted average and covariance to 1e-12, in blocks of any size", () => {
    for (const size of [1, 7, 40]) {
      const moments = createMoments(5);
      for (let i = 0; i < 40; i += size) {
        moments.add(sample.subarray(i * 5, (i + size) * 5), golden.weights.slice(i, i + size));
      }
      const { mean, covariance, weight } = moments.result();
      expect(weight).toBeCloseTo(
        golden.weights.reduce((sum, w) => sum + w, 0),
        12,
      );
      expect(largestDifference(mean, golden.weightedMean)).toBeLessThan(1e-12);
      expect(largestDifference(covariance.data, golden.weightedCovariance)).toBeLessThan(1e-12);
    }
  });

  test("counts every row once when there are no weights", () => {
    const moments = createMoments(5);
    moments.add(sample);
    expect(moments.result().weight).toBe(40);
    expect(largestDifference(moments.result().covariance.data, golden.covariance)).toBeLessThan(1e-12);
  });

  test("a mean of 1e8 costs no digits of the covariance", () => {
    const moments = createMoments(1);
    for (let i = 0; i < 100; i++) moments.add(Float64Array.of(1e8 + (i % 2)));
    expect(moments.result().covariance.data[0]).toBeCloseTo(0.25, 9);
  });

  test("one row has covariance 0, and weight 0 adds nothing", () => {
    const moments = createMoments(2);
    moments.add(Float32Array.of(3, 4));
    moments.add(Float32Array.of(9, 9), [0]);
    expect(moments.result()).toMatchObject({ weight: 1, mean: Float64Array.of(3, 4) });
    expect(moments.result().covariance.data).toEqual(new Float64Array(4));
  });

  test("what does not fit is refused by name", () => {
    const moments = createMoments(2);
    expect(() => moments.add(new Float32Array(3))).toThrow(
      "3 numbers and no weights are not rows of width 2",
    );
    expect(() => moments.add(new Float32Array(4), [1])).toThrow("4 numbers and 1 weights");
    expect(() => moments.result()).toThrow("no rows yet");
  });
});
