import { describe, expect, it } from "vitest";
import { createMatrix, matrixFrom } from "../../src/linalg/matrix.ts";
import { multiplyVector } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { choiceLogLoss, fitConditionalLogit, type ChoiceSets } from "../../src/stats/conditional-logit.ts";
import golden from "../golden/conditional-logit.json" with { type: "json" };

const sets: ChoiceSets = {
  features: matrixFrom(golden.features.length / 4, 4, golden.features),
  counts: golden.counts,
  labels: golden.labels,
};

/** Items whose right option is drawn with the probabilities of the planted weights. */
function plantedSets(weights: readonly number[], items: number, seed: number): ChoiceSets {
  const random = createRandom(seed);
  const counts = Array.from({ length: items }, () => 2 + random.integer(3));
  const options = counts.reduce((sum, count) => sum + count, 0);
  const features = createMatrix(options, weights.length);
  features.data.forEach((_, i) => (features.data[i] = random.normal()));
  const scores = multiplyVector(features, Float64Array.from(weights));
  let first = 0;
  const labels = counts.map((count) => {
    const own = [...scores.subarray(first, (first += count))].map(Math.exp);
    let draw = random.next() * own.reduce((a, b) => a + b);
    return Math.max(
      0,
      own.findIndex((share) => (draw -= share) < 0),
    );
  });
  return { features, counts, labels };
}

describe("the conditional logit model", () => {
  it("has the weights and loss of no ridge as the ridge goes to 0", () => {
    const weights = fitConditionalLogit(sets, [1e-9, 1e-9, 1e-9, 1e-9]);
    golden.plain.weights.forEach((expected, j) => expect(weights[j]).toBeCloseTo(expected, 6));
    expect(choiceLogLoss(sets, weights)).toBeCloseTo(golden.plain.meanLoss, 9);
  });

  it("has the weights and loss of scipy's root where every feature has a ridge of its own", () => {
    const { ridge, weights: expected, loss } = golden.held;
    const weights = fitConditionalLogit(sets, ridge);
    expected.forEach((value, j) => expect(weights[j]).toBeCloseTo(value, 6));
    const penalty = ridge.reduce((sum, value, j) => sum + 0.5 * value * (weights[j] ?? 0) ** 2, 0);
    expect(choiceLogLoss(sets, weights) * golden.counts.length + penalty).toBeCloseTo(loss, 9);
  });

  it("recovers planted weights", () => {
    const planted = [1, -0.5, 0, 2];
    const weights = fitConditionalLogit(plantedSets(planted, 4000, 3), [0.01, 0.01, 0.01, 0.01]);
    planted.forEach((value, j) => expect(Math.abs((weights[j] ?? 0) - value)).toBeLessThan(0.12));
  });

  it("has weights 0 and the loss of guessing under an endless ridge", () => {
    const weights = fitConditionalLogit(sets, [1e12, 1e12, 1e12, 1e12]);
    for (const weight of weights) expect(Math.abs(weight)).toBeLessThan(1e-9);
    const guessing = golden.counts.reduce((sum, count) => sum + Math.log(count), 0) / golden.counts.length;
    expect(choiceLogLoss(sets, weights)).toBeCloseTo(guessing, 9);
  });

  it("does not change when something is added to all options of an item", () => {
    const { features, counts } = sets;
    const shifted = { ...features, data: features.data.slice() };
    let row = 0;
    for (const [i, count] of counts.entries()) {
      for (const end = row + count; row < end; row++) {
        for (let j = 0; j < 4; j++) shifted.data[row * 4 + j]! += 5 * i - j;
      }
    }
    const weights = fitConditionalLogit({ ...sets, features: shifted }, golden.held.ridge);
    golden.held.weights.forEach((value, j) => expect(weights[j]).toBeCloseTo(value, 6));
  });

  it("stays finite where one feature tells every answer", () => {
    const features = matrixFrom(6, 1, [1, 0, 1, 0, 1, 0]);
    const [weight = 0] = fitConditionalLogit({ features, counts: [2, 2, 2], labels: [0, 0, 0] }, [0.01]);
    expect(weight).toBeGreaterThan(3);
    expect(weight).toBeLessThan(100);
  });

  it("refuses features that do not fit the items, labels outside them, ridges of 0 and features that are not finite", () => {
    const pair = { features: matrixFrom(2, 1, [1, 2]), counts: [2], labels: [0] };
    expect(() => fitConditionalLogit({ ...pair, counts: [3] }, [1])).toThrow(
      /X \(2,1\) does not fit 1 items/,
    );
    expect(() => fitConditionalLogit({ ...pair, labels: [2] }, [1])).toThrow(/item 0 has 2 options/);
    expect(() => fitConditionalLogit(pair, [0])).toThrow(/expected 1 ridges above 0, got 0/);
    const broken = { ...pair, features: matrixFrom(2, 1, [Number.NaN, 2]) };
    expect(() => fitConditionalLogit(broken, [1])).toThrow(/not finite/);
  });
});
