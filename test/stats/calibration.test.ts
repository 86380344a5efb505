import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import { calibrate, calibrateConfidence, type Calibration } from "../../src/stats/calibration.ts";
import {
  chooseCalibration,
  chooseConfidenceCalibration,
  fitCalibration,
  fitConfidenceCalibration,
} from "../../src/stats/fit-calibration.ts";
import type { Forecast, Verdict } from "../../src/stats/forecast.ts";
import { negativeLogLikelihood } from "../../src/stats/proper-scores.ts";
import golden from "../golden/calibration.json" with { type: "json" };

const verdicts: Verdict[] = golden.verdicts.confidence.map((confidence, i) => ({
  confidence,
  correct: golden.verdicts.correct[i] === 1,
}));
const forecasts: Forecast[] = golden.forecasts.probabilities.map((probabilities, i) => ({
  probabilities,
  label: golden.forecasts.labels[i]!,
}));

describe("calibration of verdicts", () => {
  it("by temperature and beta is where netcal's likelihood is greatest", () => {
    const temperature = fitConfidenceCalibration("temperature", verdicts);
    expect(temperature).toMatchObject({ kind: "temperature" });
    if (temperature.kind === "temperature") {
      expect(temperature.temperature).toBeCloseTo(golden.verdicts.temperature, 6);
    }
    const beta = fitConfidenceCalibration("beta", verdicts);
    if (beta.kind !== "beta") throw new Error(`got ${beta.kind}`);
    for (const [j, value] of [beta.a, beta.b, beta.c].entries()) {
      expect(value).toBeCloseTo(golden.verdicts.beta[j]!, 6);
    }
  });

  it("by isotonic regression equals scikit-learn's within the steps that Laplace's rule allows", () => {
    const isotonic = fitConfidenceCalibration("isotonic", verdicts);
    const least = 1 / (verdicts.length + 2);
    const { x, y } = golden.verdicts.isotonic;
    const differences = x.map((at, i) => Math.abs(calibrateConfidence(isotonic, at) - y[i]!));
    for (const difference of differences) expect(difference).toBeLessThan(least + 1e-9);
    // Away from the steps at 0 and 1.
    const inside = differences.filter((_, i) => y[i]! > 0.2 && y[i]! < 0.8);
    expect(inside.length).toBeGreaterThan(5);
    for (const difference of inside) expect(difference).toBeLessThan(1e-6);
  });

  it("never reverses the order of two confidences", () => {
    const probability = fc.double({ min: 0, max: 1, noNaN: true });
    for (const kind of ["identity", "temperature", "beta", "isotonic"] as const) {
      const calibration = fitConfidenceCalibration(kind, verdicts);
      fc.assert(
        fc.property(probability, probability, (p, q) => {
          const [low, high] = [Math.min(p, q), Math.max(p, q)].map((x) =>
            calibrateConfidence(calibration, x),
          );
          expect(low!).toBeLessThanOrEqual(high! + 1e-12);
        }),
      );
    }
  });

  it("needs right and wrong answers", () => {
    expect(() => fitConfidenceCalibration("beta", [{ confidence: 0.5, correct: true }])).toThrow(
      "expected right and wrong answers, got 1 right of 1",
    );
  });
});

describe("calibration of forecasts", () => {
  it("by temperature, beta and dirichlet is where netcal's likelihood is greatest", () => {
    const temperature = fitCalibration("temperature", forecasts);
    if (temperature.kind !== "temperature") throw new Error(`got ${temperature.kind}`);
    expect(temperature.temperature).toBeCloseTo(golden.forecasts.temperature, 6);
    const beta = fitCalibration("beta", forecasts);
    if (beta.kind !== "beta") throw new Error(`got ${beta.kind}`);
    expect(beta.a).toBeCloseTo(golden.forecasts.beta[0]!, 6);
    expect(beta.b).toBeCloseTo(golden.forecasts.beta[1]!, 6);
    const { ridge, weights, bias } = golden.forecasts.dirichlet;
    const dirichlet = fitCalibration("dirichlet", forecasts, { ridge });
    const theirs: Calibration = { kind: "dirichlet", weights, bias };
    for (const { probabilities } of forecasts.slice(0, 20)) {
      const expected = calibrate(theirs, probabilities);
      for (const [c, p] of calibrate(dirichlet, probabilities).entries())
        expect(p).toBeCloseTo(expected[c]!, 6);
    }
  });

  it("gives probabilities that are together 1", () => {
    for (const kind of ["identity", "temperature", "beta", "isotonic", "dirichlet"] as const) {
      const calibration = fitCalibration(kind, forecasts);
      for (const { probabilities } of forecasts) {
        const calibrated = calibrate(calibration, probabilities);
        expect(calibrated.every((p) => p >= 0 && p <= 1)).toBe(true);
        expect(calibrated.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
      }
    }
  });

  it("is chosen by held-out likelihood: one that helps where forecasts are too sure, none where they are honest", () => {
    const random = createRandom(5);
    const chosen = chooseCalibration(["temperature", "beta", "isotonic", "dirichlet"], forecasts, {
      folds: 5,
      random,
    });
    expect(chosen.losses[0]?.kind).toBe("identity");
    expect(chosen.losses[0]!.loss).toBeCloseTo(negativeLogLikelihood(forecasts), 12);
    expect(chosen.calibration.kind).not.toBe("identity");
    const honest = Array.from({ length: 2000 }, () => {
      const confidence = random.next();
      return { confidence, correct: random.next() < confidence };
    });
    const kept = chooseConfidenceCalibration(["isotonic"], honest, { folds: 5, random });
    expect(kept.calibration.kind).toBe("identity");
  });

  it("refuses another number of classes than it was fitted on", () => {
    expect(() => calibrate(fitCalibration("dirichlet", forecasts), [0.5, 0.5])).toThrow("for 4 classes");
  });
});
