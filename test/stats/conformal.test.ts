import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import {
  conformalQuantile,
  conformalScores,
  fitConformal,
  predictionSet,
  setMetrics,
  type ConformalScore,
} from "../../src/stats/conformal.ts";
import type { Forecast } from "../../src/stats/forecast.ts";
import golden from "../golden/calibration.json" with { type: "json" };

const forecasts: Forecast[] = golden.forecasts.probabilities.map((probabilities, i) => ({
  probabilities,
  label: golden.forecasts.labels[i]!,
}));
const fitting = forecasts.slice(0, 200);
const asking = forecasts.slice(200);
const { conformal } = golden;
const SCORES: readonly ConformalScore[] = [
  { kind: "lac" },
  { kind: "aps" },
  { kind: "raps", penalty: 0.1, freeRank: 2 },
];

describe("conformal sets", () => {
  it("by LAC equal MAPIE's: scores, quantiles and sets", () => {
    const rule = fitConformal({ kind: "lac" }, fitting);
    const theirs = conformal.lac.scores.toSorted((a, b) => a - b);
    for (const [i, score] of rule.calibrationScores.entries()) expect(score).toBeCloseTo(theirs[i]!, 6);
    for (const [level, coverage] of conformal.levels.entries()) {
      expect(conformalQuantile(rule.calibrationScores, coverage)).toBeCloseTo(
        conformal.lac.quantiles[level]!,
        6,
      );
      const sets = asking.map(({ probabilities }) => predictionSet(rule, probabilities, coverage));
      expect(sets).toEqual(conformal.lac.sets[level]);
    }
  });

  it("by APS have MAPIE's scores for the same random numbers", () => {
    const draws = [...conformal.uniform.fitting];
    const random = { ...createRandom(1), next: () => draws.shift() ?? NaN };
    const rule = fitConformal({ kind: "aps" }, fitting, random);
    const theirs = conformal.aps.scores.toSorted((a, b) => a - b);
    for (const [i, score] of rule.calibrationScores.entries()) expect(score).toBeCloseTo(theirs[i]!, 6);
  });

  it("by RAPS have the scores of its definition", () => {
    for (const [i, row] of conformal.raps.entries()) {
      const scores = conformalScores(SCORES[2]!, forecasts[i]!.probabilities, 0.3);
      for (const [c, score] of scores.entries()) expect(score).toBeCloseTo(row[c]!, 9);
    }
  });

  it("hold the truth as often as asked, by every score, though the probabilities are wrong", () => {
    const random = createRandom(20);
    const draw = (): Forecast => {
      const weights = Array.from({ length: 5 }, () => random.next() ** 3);
      const sum = weights.reduce((a, b) => a + b, 0);
      let left = random.next() * sum;
      const label = weights.findIndex((weight) => (left -= weight) < 0);
      // Far too sure of themselves.
      const sharp = weights.map((weight) => weight ** 3);
      const total = sharp.reduce((a, b) => a + b, 0);
      return { probabilities: sharp.map((p) => p / total), label: Math.max(0, label) };
    };
    for (const score of SCORES) {
      const rule = fitConformal(score, Array.from({ length: 2000 }, draw), random);
      const unseen = Array.from({ length: 4000 }, draw);
      for (const coverage of [0.8, 0.9, 0.95]) {
        const sets = unseen.map(({ probabilities }) =>
          predictionSet(rule, probabilities, coverage, random.next()),
        );
        const metrics = setMetrics(
          sets,
          unseen.map(({ label }) => label),
        );
        expect(Math.abs(metrics.coverage - coverage)).toBeLessThan(0.03);
      }
    }
  });

  it("hold every label where there are too few examples to promise so much", () => {
    const rule = fitConformal({ kind: "lac" }, fitting.slice(0, 5));
    expect(predictionSet(rule, [0.9, 0.05, 0.03, 0.02], 0.95)).toEqual([0, 1, 2, 3]);
    expect(() => predictionSet(rule, [0.5, 0.5], 1)).toThrow("between 0 and 1");
  });
});
