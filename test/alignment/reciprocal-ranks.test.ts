import { describe, expect, test } from "vitest";
import { reciprocalRanks } from "../../src/alignment/reciprocal-ranks.ts";
import { retrievalAt1 } from "../../src/alignment/sentence-space.ts";
import { createRandom } from "../../src/linalg/random.ts";

const random = createRandom(3);
const gaussian = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());

describe("reciprocalRanks", () => {
  test("every row finds itself first, whatever its length", () => {
    const a = gaussian(40);
    const longer = a.map((x, at) => x * (1 + Math.floor(at / 4)));
    expect([...reciprocalRanks(a, longer, 4)]).toEqual(Array.from({ length: 10 }, () => 1));
  });

  test("ranks count what is nearer, in both directions", () => {
    // Cosines of a_i (rows) with b_j: a_0 is nearest b_1 and then b_0; b_0 is nearest a_0.
    const a = Float32Array.of(1, 0, 0, 1);
    const b = Float32Array.of(1, 0.5, 1, 0.1);
    const [first, second] = reciprocalRanks(a, b, 2);
    expect(first).toBe((1 / 2 + 1) / 2);
    // a_1 is nearer b_0 than b_1; b_1 is nearer a_0 than a_1.
    expect(second).toBe(1 / 2);
  });

  test("equal cosines count against a row", () => {
    expect([...reciprocalRanks(new Float32Array(6).fill(1), new Float32Array(6).fill(1), 2)]).toEqual([
      1 / 3,
      1 / 3,
      1 / 3,
    ]);
  });

  test("unrelated rows score by chance, H_n / n", () => {
    const n = 200;
    const ranks = reciprocalRanks(gaussian(n * 16), gaussian(n * 16), 16);
    const chance = Array.from({ length: n }, (_, k) => 1 / (k + 1)).reduce((sum, x) => sum + x, 0) / n;
    expect(Math.abs(ranks.reduce((sum, x) => sum + x, 0) / n - chance)).toBeLessThan(0.02);
  });

  test("ranks of 1 are what retrieval@1 counts", () => {
    const n = 60;
    const a = gaussian(n * 6);
    const b = a.map((x) => x + random.normal());
    const ranks = reciprocalRanks(a, b, 6);
    const both = ranks.filter((rank) => rank === 1).length / n;
    const either = ranks.filter((rank) => rank > 0.5).length / n;
    const found = retrievalAt1(a, b, 6);
    expect(found).toBeGreaterThanOrEqual(both);
    expect(found).toBeLessThanOrEqual(either);
    expect(both).toBeLessThan(1);
  });

  test("refuses what are no pairs", () => {
    for (const [a, b] of [
      [4, 6],
      [0, 0],
      [5, 5],
    ] as const) {
      expect(() => reciprocalRanks(new Float32Array(a), new Float32Array(b), 2)).toThrow(
        "no pairs of width 2",
      );
    }
  });
});
