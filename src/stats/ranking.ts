import { checkVerdicts, type Verdict } from "./forecast.ts";

/**
 * Area under the ROC curve of confidence against correctness: P(a right answer's confidence > a wrong one's) + ½ P(they
 * are equal), in [0, 1]; NaN where all answers are right or all are wrong. Mann & Whitney 1947. Cost n log n.
 * @throws RangeError on no verdicts or bad ones
 */
export function auroc(verdicts: readonly Verdict[]): number {
  checkVerdicts("auroc", verdicts);
  return superiority(confidencesOf(verdicts, true), confidencesOf(verdicts, false));
}

/** P(x > y) + ½ P(x = y) of ascending x (n) and y (m), in [0, 1]; NaN where either is empty. Cost n + m. */
export function superiority(x: Float64Array, y: Float64Array): number {
  let wins = 0;
  let below = 0;
  let upTo = 0;
  for (const value of x) {
    while (below < y.length && y[below]! < value) below++;
    while (upTo < y.length && y[upTo]! <= value) upTo++;
    wins += (below + upTo) / 2;
  }
  return wins / (x.length * y.length);
}

/** What is wrong among the answers given when all below a confidence are withheld. */
export interface RiskCoveragePoint {
  /** The least confidence of an answer that is given. */
  readonly threshold: number;
  /** Share of answers given, in (0, 1]. */
  readonly coverage: number;
  /** Share of these that are wrong, in [0, 1]. */
  readonly risk: number;
}

/**
 * The risk–coverage curve: a point for each confidence that occurs, highest first, so that equal confidences are given
 * or withheld together. El-Yaniv & Wiener 2010. Cost n log n. @throws RangeError on no verdicts or bad ones
 */
export function riskCoverage(verdicts: readonly Verdict[]): RiskCoveragePoint[] {
  checkVerdicts("riskCoverage", verdicts);
  const sorted = verdicts.toSorted((a, b) => b.confidence - a.confidence);
  const points: RiskCoveragePoint[] = [];
  let wrong = 0;
  for (const [i, { confidence, correct }] of sorted.entries()) {
    if (!correct) wrong++;
    if (sorted[i + 1]?.confidence === confidence) continue;
    points.push({ threshold: confidence, coverage: (i + 1) / sorted.length, risk: wrong / (i + 1) });
  }
  return points;
}

/**
 * AURC = (1/n) Σ_k (wrong among the k answers of highest confidence) / k, in [0, 1], lower is better. Equal confidences
 * count as in the mean over their orders. Geifman, Uziel & El-Yaniv 2019. @throws RangeError on no verdicts or bad ones
 */
export function areaUnderRiskCoverage(verdicts: readonly Verdict[]): number {
  const n = verdicts.length;
  let area = 0;
  let given = 0;
  let wrong = 0;
  for (const { coverage, risk } of riskCoverage(verdicts)) {
    const count = Math.round(coverage * n);
    const rate = (risk * count - wrong) / (count - given);
    for (let k = given + 1; k <= count; k++) area += (wrong + rate * (k - given)) / k;
    given = count;
    wrong = risk * count;
  }
  return area / n;
}

/** Ascending. */
function confidencesOf(verdicts: readonly Verdict[], correct: boolean): Float64Array {
  return Float64Array.from(
    verdicts.filter((verdict) => verdict.correct === correct),
    ({ confidence }) => confidence,
  ).sort();
}
