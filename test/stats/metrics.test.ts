import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import { bootstrapInterval, quantile } from "../../src/stats/bootstrap.ts";
import { topVerdict, type Forecast, type Verdict } from "../../src/stats/forecast.ts";
import {
  binaryBrierScore,
  binaryNegativeLogLikelihood,
  brierScore,
  negativeLogLikelihood,
} from "../../src/stats/proper-scores.ts";
import { areaUnderRiskCoverage, auroc, riskCoverage } from "../../src/stats/ranking.ts";
import {
  calibrationErrorByChance,
  EQUAL_MASS,
  expectedCalibrationError,
  reliabilityBins,
} from "../../src/stats/reliability.ts";
import golden from "../golden/calibration.json" with { type: "json" };

const verdicts: Verdict[] = golden.verdicts.confidence.map((confidence, i) => ({
  confidence,
  correct: golden.verdicts.correct[i] === 1,
}));
const forecasts: Forecast[] = golden.forecasts.probabilities.map((probabilities, i) => ({
  probabilities,
  label: golden.forecasts.labels[i]!,
}));

describe("metrics of confidences", () => {
  it("equal scikit-learn's and netcal's", () => {
    expect(expectedCalibrationError(verdicts)).toBeCloseTo(golden.verdicts.ece, 6);
    expect(expectedCalibrationError(verdicts, EQUAL_MASS)).toBeCloseTo(golden.verdicts.eceEqualMass, 6);
    expect(binaryBrierScore(verdicts)).toBeCloseTo(golden.verdicts.brier, 12);
    expect(binaryNegativeLogLikelihood(verdicts)).toBeCloseTo(golden.verdicts.logLoss, 12);
    expect(auroc(verdicts)).toBeCloseTo(golden.verdicts.auroc, 12);
    expect(expectedCalibrationError(forecasts.map(topVerdict))).toBeCloseTo(golden.forecasts.ece, 6);
    expect(brierScore(forecasts)).toBeCloseTo(golden.forecasts.brier, 12);
    expect(negativeLogLikelihood(forecasts)).toBeCloseTo(golden.forecasts.logLoss, 12);
  });

  it("tell what chance makes of exact confidences: in one bin the mean deviation of a binomial, √(2 p (1 − p) / π n)", () => {
    const sure = Array.from({ length: 100 }, (): Verdict => ({ confidence: 0.5, correct: true }));
    const expected = Math.sqrt(0.5 / (Math.PI * 100));
    expect(Math.abs(calibrationErrorByChance(sure, createRandom(1)) - expected)).toBeLessThan(0.003);
  });

  it("give the risk at every coverage, and its area as the mean over the orders of equal confidences", () => {
    const curve = riskCoverage(verdicts);
    expect(curve.map(({ coverage }) => coverage)).toHaveLength(golden.verdicts.riskCoverage.coverage.length);
    for (const [i, { coverage, risk }] of curve.entries()) {
      expect(coverage).toBeCloseTo(golden.verdicts.riskCoverage.coverage[i]!, 12);
      expect(risk).toBeCloseTo(golden.verdicts.riskCoverage.risk[i]!, 12);
    }
    const error = Math.abs(areaUnderRiskCoverage(verdicts) - golden.verdicts.aurc);
    expect(error).toBeLessThan(4 * golden.verdicts.aurcError);
  });

  it("count every verdict in one bin, the confidence of 1 in the last", () => {
    const bins = reliabilityBins([...verdicts, { confidence: 1, correct: true }]);
    expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(verdicts.length + 1);
    expect(bins.at(-1)?.high).toBe(1);
  });

  it("are 0 for what is calibrated and sharp, and NaN where nothing can be ranked", () => {
    const sure = [
      { confidence: 1, correct: true },
      { confidence: 0, correct: false },
    ];
    expect(expectedCalibrationError(sure)).toBe(0);
    expect(auroc(sure)).toBe(1);
    expect(auroc(sure.slice(1))).toBeNaN();
  });

  it("refuse what is no probability, naming it", () => {
    expect(() => auroc([{ confidence: 1.2, correct: true }])).toThrow("number 0 is 1.2");
    expect(() => brierScore([{ probabilities: [0.5, 0.5], label: 2 }])).toThrow("its label is 2");
    expect(() => expectedCalibrationError([])).toThrow("at least one verdict");
  });
});

function mean(sample: readonly number[]): number {
  return sample.reduce((a, b) => a + b, 0) / sample.length;
}

describe("bootstrapInterval", () => {
  it("covers a mean about as often as it says", () => {
    const random = createRandom(11);
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const units = Array.from({ length: 60 }, () => random.next());
      const { low, high } = bootstrapInterval(units, mean, { random, resamples: 200 });
      if (low <= 0.5 && 0.5 <= high) covered++;
    }
    expect(covered / 200).toBeGreaterThan(0.89);
    expect(covered / 200).toBeLessThan(0.99);
  });

  it("leaves out resamples without a value, and needs units", () => {
    const options = { random: createRandom(1), resamples: 50 };
    expect(bootstrapInterval([1, 2], () => NaN, options)).toEqual({ low: NaN, high: NaN });
    expect(() => bootstrapInterval([], () => 0, options)).toThrow("at least one unit");
    expect(quantile(Float64Array.of(0, 1, 2, 3), 0.5)).toBe(1.5);
  });
});
