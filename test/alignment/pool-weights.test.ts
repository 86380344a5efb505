import { describe, expect, test } from "vitest";
import { fitPoolWeights, type PoolPosition } from "../../src/alignment/pool-weights.ts";
import { createRandom } from "../../src/linalg/random.ts";
import golden from "../golden/alignment.json" with { type: "json" };
import { largestDifference } from "../linalg/planted.ts";

const logits = Float32Array.from(golden.poolLogits);
const positions = golden.poolTokens.map((token, i): PoolPosition => ({
  logits: [0, 1, 2].map((m) => logits.subarray((i * 3 + m) * 12, (i * 3 + m + 1) * 12)),
  token,
}));

/** Tokens drawn from the pool with the planted weights, over logits of independent normals. */
function planted(weights: readonly number[], count: number, seed: number): PoolPosition[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => {
    const rows = weights.map(() => Float32Array.from({ length: 30 }, () => 1.5 * random.normal()));
    const odds = Array.from({ length: 30 }, (_, v) =>
      Math.exp(rows.reduce((sum, row, m) => sum + weights[m]! * row[v]!, 0)),
    );
    let left = random.next() * odds.reduce((sum, x) => sum + x, 0);
    const token = odds.findIndex((x) => (left -= x) < 0);
    return { logits: rows, token: Math.max(0, token) };
  });
}

/** The golden positions one promise at a time, member m's logits raised by 16m. */
async function* shifted(): AsyncGenerator<PoolPosition> {
  for (const { logits: rows, token } of positions) {
    yield { logits: rows.map((row, m) => row.map((x) => x + 16 * m)), token };
  }
}

describe("fitPoolWeights", () => {
  test("equals scipy's bounded optimum to 1e-5, a useless member's weight being 0", async () => {
    const fit = await fitPoolWeights(3, () => positions);
    expect(largestDifference(fit.weights, golden.poolWeights)).toBeLessThan(1e-5);
    expect(fit.weights[2]).toBe(0);
    expect(fit.nll).toBeCloseTo(golden.poolNll, 9);
    expect(largestDifference(fit.memberNll, golden.memberNll)).toBeLessThan(1e-9);
    expect(fit.positions).toBe(250);
  });

  test("recovers planted weights, which need not sum to 1", async () => {
    const sample = planted([0.35, 0.9, 0], 6000, 5);
    const { weights } = await fitPoolWeights(3, () => sample);
    // About four standard errors: 1/√(6000 · Var_p(l)), Var_p(l) near 2.
    expect(largestDifference(weights, [0.35, 0.9, 0])).toBeLessThan(0.04);
  });

  test("reads asynchronous positions and does not mind a constant on a member's logits", async () => {
    const fit = await fitPoolWeights(3, shifted);
    expect(largestDifference(fit.weights, golden.poolWeights)).toBeLessThan(1e-4);
  });

  test("gives two members that say the same equal weights", async () => {
    const twins = positions.map(({ logits: [row], token }) => ({ logits: [row!, row!], token }));
    const alone = await fitPoolWeights(1, () =>
      twins.map(({ logits: [row], token }) => ({ logits: [row!], token })),
    );
    const { weights } = await fitPoolWeights(2, () => twins);
    expect(weights[0]).toBeCloseTo(weights[1]!, 6);
    expect(weights[0]! + weights[1]!).toBeCloseTo(alone.weights[0]!, 4);
  });

  test("gives 0 to all when nobody knows better than chance", async () => {
    const reversed = positions.map(({ logits: [row], token }) => ({ logits: [row!.map((x) => -x)], token }));
    expect((await fitPoolWeights(1, () => reversed)).weights).toEqual([0]);
  });

  test("what does not fit is refused by position", async () => {
    const row = new Float32Array(4);
    await expect(fitPoolWeights(2, () => [])).rejects.toThrow("expected positions, got none");
    await expect(fitPoolWeights(2, () => [{ logits: [row], token: 0 }])).rejects.toThrow(
      "position 0 needs 2 rows of one length, got (4)",
    );
    await expect(fitPoolWeights(1, () => [{ logits: [row], token: 4 }])).rejects.toThrow(
      "token 4, outside 0 to 3",
    );
    const masked = Float32Array.of(0, Number.NEGATIVE_INFINITY);
    await expect(fitPoolWeights(1, () => [{ logits: [masked], token: 0 }])).rejects.toThrow("not finite");
  });
});
