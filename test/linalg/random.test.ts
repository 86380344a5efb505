import { describe, expect, test } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import golden from "../golden/linalg.json" with { type: "json" };

describe("createRandom", () => {
  test("is xoshiro128** to the last bit", () => {
    const random = createRandom(7);
    expect(golden.uniform.map(() => random.next())).toEqual(golden.uniform);
    const other = createRandom(-3);
    expect(golden.integers.map(() => other.integer(1000))).toEqual(golden.integers);
  });

  test("neighbouring seeds give unrelated numbers", () => {
    const first = Array.from({ length: 2000 }, (_, seed) => createRandom(seed).next());
    const mean = first.reduce((sum, x) => sum + x, 0) / 2000;
    let lagged = 0;
    for (let i = 1; i < 2000; i++) lagged += ((first[i]! - 0.5) * (first[i - 1]! - 0.5)) / 2000;
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / 2000));
    expect(Math.abs(lagged)).toBeLessThan(4 / 12 / Math.sqrt(2000));
  });

  test("integers cover their range evenly", () => {
    const random = createRandom(1);
    const counts = new Float64Array(7);
    for (let i = 0; i < 70_000; i++) counts[random.integer(7)]! += 1;
    const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    // The 99.99 % point of chi-square with 6 degrees of freedom.
    expect(chiSquare).toBeLessThan(27.9);
    expect(random.integer(1)).toBe(0);
  });

  test("normals have mean 0, variance 1, skewness 0 and kurtosis 3", () => {
    const random = createRandom(2);
    const n = 100_000;
    const moments = [0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      const x = random.normal();
      for (let p = 0; p < 4; p++) moments[p]! += x ** (p + 1) / n;
    }
    // Four standard errors: the variance of x^p is E x^2p − (E x^p)².
    expect(Math.abs(moments[0]!)).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(moments[1]! - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(Math.abs(moments[2]!)).toBeLessThan(4 * Math.sqrt(15 / n));
    expect(Math.abs(moments[3]! - 3)).toBeLessThan(4 * Math.sqrt(96 / n));
  });

  test("a shuffle is a permutation and leaves no place favoured", () => {
    const random = createRandom(3);
    const counts = new Float64Array(5);
    for (let i = 0; i < 10_000; i++) {
      const items = random.shuffle([0, 1, 2, 3, 4]);
      counts[items.indexOf(0)]! += 1;
      if (i === 0) expect([...items].sort()).toEqual([0, 1, 2, 3, 4]);
    }
    // The 99.99 % point of chi-square with 4 degrees of freedom.
    expect(counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)).toBeLessThan(23.5);
    expect(createRandom(4).shuffle(Int32Array.of(1, 2, 3))).toHaveLength(3);
  });

  test("seeds and bounds that make no sense are refused", () => {
    expect(() => createRandom(0.5)).toThrow("createRandom: expected a whole seed, got 0.5");
    expect(() => createRandom(1).integer(0)).toThrow("integer: expected a whole bound from 1 to 2^32, got 0");
  });
});
