import { describe, expect, it } from "vitest";
import { gateFeatures, gateShares, poolGate } from "../../src/alignment/gate.ts";
import { fitMixtureWeights } from "../../src/alignment/mixture-weights.ts";
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
      expect(gateShares(poolGate(2), features)).toEqual([0, 0, expect.closeTo(1, 12)]);
    }
  });
});

/** Outcomes of two kinds, told by their features: the first member is right at the one, the second at the other. */
function plantedOutcomes(count: number) {
  const random = createRandom(9);
  const features = [
    [0.5, 0, 0, 0.5],
    [0, 0.5, 0.5, 0],
  ];
  return Array.from({ length: count }, (_, i) => ({
    features: features[i % 2] ?? [],
    probabilities: [0, 1].map((m) => (m === i % 2 ? 0.5 + random.next() / 2 : random.next() / 10)),
  }));
}

describe("shares that depend on the position", () => {
  const outcomes = plantedOutcomes(3000);
  const probabilities = outcomes.map((outcome) => outcome.probabilities);

  it("find who is right where, and foresee better than any constant shares", () => {
    const gated = fitMixtureWeights(
      probabilities,
      outcomes.map(({ features }) => features),
    );
    expect(gated.nll).toBeLessThan(fitMixtureWeights(probabilities).nll - 0.1);
    for (const { features } of outcomes.slice(0, 2)) {
      const right = features[0] === 0.5 ? 0 : 1;
      expect(gateShares(gated.weights, features)[right]).toBeGreaterThan(0.99);
    }
    for (const corner of gated.weights) expect(corner.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
  });

  it("with equal corners are the constant shares", () => {
    const even = outcomes.map(() => [0.25, 0.25, 0.25, 0.25]);
    const { weights, nll } = fitMixtureWeights(probabilities, even);
    const constant = fitMixtureWeights(probabilities);
    expect(nll).toBeCloseTo(constant.nll, 8);
    for (const corner of weights) expect(corner[0]).toBeCloseTo(constant.weights[0]?.[0] ?? NaN, 8);
  });

  it("leave a member that never helps no share at all", () => {
    const { weights } = fitMixtureWeights(
      outcomes.map((outcome) => [...outcome.probabilities, 1e-4]),
      outcomes.map(({ features }) => features),
    );
    expect(weights.map((corner) => corner[2])).toEqual([0, 0, 0, 0]);
  });
});
