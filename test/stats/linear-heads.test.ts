import { describe, expect, it } from "vitest";
import { matrixFrom } from "../../src/linalg/matrix.ts";
import { createRandom } from "../../src/linalg/random.ts";
import {
  chooseLogisticRegression,
  classProbabilities,
  fitLogisticRegression,
} from "../../src/stats/logistic-regression.ts";
import { fitRidgeRegression, predictRidge } from "../../src/stats/ridge-regression.ts";
import golden from "../golden/linear-heads.json" with { type: "json" };

const features = matrixFrom(golden.rows, golden.columns, golden.features);

describe("logistic regression", () => {
  it.each(golden.logistic.map((row) => ({ row, name: `${row.classes} classes, ridge ${row.ridge}` })))(
    "equals scikit-learn's: $name",
    ({ row: { classes, labels, ridge, weights, probabilities } }) => {
      const model = fitLogisticRegression({ features, labels, classes }, ridge);
      const own = Array.from({ length: golden.columns }, (_, j) =>
        Array.from({ length: classes }, (__, c) => model.weights.data[j * classes + c]!),
      );
      for (const [j, row] of own.entries()) {
        if (classes === 2) expect(row[1]! - row[0]!).toBeCloseTo(weights[0]![j]!, 6);
        else for (const [c, w] of row.entries()) expect(w).toBeCloseTo(weights[c]![j]!, 6);
      }
      const found = classProbabilities(model, features).data;
      for (const [i, p] of probabilities.flat().entries()) expect(found[i]).toBeCloseTo(p, 6);
    },
  );

  it("with the ridge chosen by held-out loss is the fit with that ridge", () => {
    const { classes, labels } = golden.logistic.find((row) => row.classes === 4)!;
    const shares: number[] = [];
    const chosen = chooseLogisticRegression(
      { features, labels, classes },
      { ridges: [0.01, 1, 30], folds: 5, random: createRandom(1), onProgress: (share) => shares.push(share) },
    );
    expect(chosen.losses).toHaveLength(3);
    expect(Math.min(...chosen.losses)).toBe(chosen.losses[[0.01, 1, 30].indexOf(chosen.ridge)]);
    const direct = fitLogisticRegression({ features, labels, classes }, chosen.ridge);
    for (const [i, w] of chosen.model.weights.data.entries())
      expect(w).toBeCloseTo(direct.weights.data[i]!, 5);
    expect(shares.at(-1)).toBe(1);
  });

  it("refuses labels that do not fit", () => {
    const labels = Array.from({ length: golden.rows }, () => 0);
    expect(() => fitLogisticRegression({ features, labels, classes: 2 }, 1)).toThrow(
      "class 1 of 2 has no example",
    );
    expect(() => fitLogisticRegression({ features, labels: [0], classes: 2 }, 1)).toThrow(
      "a label for each row",
    );
  });
});

describe("ridge regression", () => {
  it.each(golden.ridge.cases)("equals scikit-learn's with $rows rows, left out one by one", (wanted) => {
    const x = matrixFrom(wanted.rows, golden.columns, golden.features.slice(0, wanted.rows * golden.columns));
    const targets = golden.ridge.targets.slice(0, wanted.rows);
    const { model, ridge, losses, heldOut } = fitRidgeRegression(x, targets, golden.ridge.ridges);
    expect(ridge).toBe(wanted.ridge);
    for (const [r, loss] of losses.entries()) expect(loss / wanted.losses[r]!).toBeCloseTo(1, 6);
    for (const [i, y] of heldOut.entries()) expect(y).toBeCloseTo(wanted.heldOut[i]!, 6);
    for (const [j, w] of model.weights.entries()) expect(w).toBeCloseTo(wanted.weights[j]!, 6);
    expect(model.intercept).toBeCloseTo(wanted.intercept, 5);
    expect(predictRidge(model, x)).toHaveLength(wanted.rows);
  });
});
