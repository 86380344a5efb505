import { describe, expect, it } from "vitest";
import { constantGate, GATE_CORNERS, gateFeatures, gateWeight } from "../../src/alignment/gate.ts";
import { fitPoolWeights, type PoolPosition } from "../../src/alignment/pool-weights.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { jensenShannon } from "../../src/stats/distributions.ts";

const logs = (...p: number[]): Float32Array => Float32Array.from(p, (x) => Math.log(x));

describe("the gate's features", () => {
  it("are corners: agreement or not, the anchor or the others surer", () => {
    const sure = logs(1, 0, 0, 0);
    const other = logs(0, 1, 0, 0);
    const flat = logs(0.25, 0.25, 0.25, 0.25);
    expect(gateFeatures(jensenShannon([flat, flat]))).toEqual([0.5, 0.5, 0, 0]);
    expect(gateFeatures(jensenShannon([sure, other]))).toEqual([0, 0, 0.5, 0.5]);
    const [, surerAgreeing, , surerApart] = gateFeatures(jensenShannon([flat, sure]));
    expect((surerAgreeing ?? 0) + (surerApart ?? 0)).toBeCloseTo(1, 6);
  });

  it("are not negative and sum to 1, for any number of members", () => {
    const random = createRandom(3);
    for (let trial = 0; trial < 50; trial++) {
      const rows = Array.from({ length: 2 + (trial % 3) }, () =>
        Float32Array.from({ length: 20 }, () => 3 * random.normal()),
      );
      const features = gateFeatures(jensenShannon(rows));
      expect(Math.min(...features)).toBeGreaterThanOrEqual(0);
      expect(features.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
      expect(gateWeight(constantGate(0.3), features)).toBeCloseTo(0.3, 12);
    }
  });
});

/** Positions of two kinds, told by their features: the first member is right at the one, the second at the other. */
function plantedPositions(count: number): PoolPosition[] {
  const random = createRandom(9);
  return Array.from({ length: count }, (_, i) => {
    const logits = [0, 1].map(() => Float32Array.from({ length: 12 }, () => 2 * random.normal()));
    const weights = (logits[i % 2] ?? new Float32Array(0)).map((logit) => Math.exp(logit));
    let left = random.next() * weights.reduce((a, b) => a + b, 0);
    const token = Math.max(
      0,
      weights.findIndex((weight) => (left -= weight) < 0),
    );
    return { token, logits, features: [1, 0, 0, 1].map((x) => (i % 2 === 0 ? x : 1 - x) / 2) };
  });
}

describe("weights that depend on the position", () => {
  it("find who is right where, and foresee better than any constant weights", async () => {
    const positions = plantedPositions(3000);
    const gated = await fitPoolWeights(2, () => positions, GATE_CORNERS);
    const constant = await fitPoolWeights(2, () => positions.map(({ token, logits }) => ({ token, logits })));
    expect(gated.weights).toHaveLength(2 * GATE_CORNERS);
    expect(gated.nll).toBeLessThan(constant.nll - 0.1);
    const [first, second] = [gated.weights.slice(0, GATE_CORNERS), gated.weights.slice(GATE_CORNERS)];
    expect(gateWeight(first, [0.5, 0, 0, 0.5])).toBeCloseTo(1, 1);
    expect(gateWeight(second, [0.5, 0, 0, 0.5])).toBeLessThan(0.1);
    expect(gateWeight(first, [0, 0.5, 0.5, 0])).toBeLessThan(0.1);
    expect(gateWeight(second, [0, 0.5, 0.5, 0])).toBeCloseTo(1, 1);
  });

  it("with one feature that is always 1 are the constant weights", async () => {
    const positions = plantedPositions(300);
    const one = await fitPoolWeights(
      2,
      () => positions.map((position) => ({ ...position, features: [1] })),
      1,
    );
    const constant = await fitPoolWeights(2, () => positions.map(({ token, logits }) => ({ token, logits })));
    expect(one).toEqual(constant);
  });

  it("a position with another number of features is refused", async () => {
    await expect(fitPoolWeights(2, () => plantedPositions(3), 2)).rejects.toThrow("needs 2 features, got 4");
  });
});
