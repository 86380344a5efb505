import type { Random } from "../linalg/random.ts";
import { checkForecasts, checkProbabilities, type Forecast } from "./forecast.ts";

/**
 * How strange label y is under probabilities p; r_y is its rank, from 1, by falling probability, the first among equals.
 * lac: 1 − p_y (Sadinle, Lei & Wasserman 2019): the smallest sets, none where nothing is probable enough.
 * aps: Σ_{r_j <= r_y} p_j − u p_y (Romano, Sesia & Candès 2020): sets grow where the probabilities are flat.
 * raps: aps + penalty · max(0, r_y − freeRank) (Angelopoulos et al. 2021): without the long tail of aps.
 */
export type ConformalScore =
  | { readonly kind: "lac" }
  | { readonly kind: "aps" }
  | { readonly kind: "raps"; readonly penalty: number; readonly freeRank: number };

/** Split conformal prediction, fitted: plain data, good for any coverage. */
export interface ConformalRule {
  readonly score: ConformalScore;
  /** Scores of what came true in forecasts that nothing else was fitted on (n), ascending. */
  readonly calibrationScores: readonly number[];
}

/**
 * Scores of every label under p (c) → (c).
 * @param u in [0, 1], read by aps and raps: uniform for sets that cover neither less nor more than asked; 0, the whole
 * mass of a label against it; 1, none of it, so that the first label is in every set
 * @throws RangeError when a probability or u is outside [0, 1]
 */
export function conformalScores(score: ConformalScore, probabilities: readonly number[], u = 0): number[] {
  checkProbabilities("conformalScores", probabilities);
  if (!(u >= 0 && u <= 1)) throw new RangeError(`conformalScores: expected u in [0, 1], got ${u}`);
  if (score.kind === "lac") return probabilities.map((p) => 1 - p);
  const { penalty, freeRank } = score.kind === "raps" ? score : { penalty: 0, freeRank: 0 };
  const order = Array.from(probabilities.keys()).sort(
    (i, j) => probabilities[j]! - probabilities[i]! || i - j,
  );
  const scores = probabilities.map(() => 0);
  let mass = 0;
  for (const [before, label] of order.entries()) {
    const p = probabilities[label]!;
    mass += p;
    scores[label] = mass - u * p + penalty * Math.max(0, before + 1 - freeRank);
  }
  return scores;
}

/**
 * A rule from forecasts that neither the probabilities nor their calibration were fitted on.
 * @param random draws a u for each forecast; without it all have u = 0
 * @throws RangeError on no forecasts or bad ones
 */
export function fitConformal(
  score: ConformalScore,
  forecasts: readonly Forecast[],
  random?: Random,
): ConformalRule {
  checkForecasts("fitConformal", forecasts);
  const calibrationScores = forecasts
    .map(({ probabilities, label }) => conformalScores(score, probabilities, random?.next() ?? 0)[label]!)
    .sort((a, b) => a - b);
  return { score, calibrationScores };
}

/**
 * The ⌈(n + 1) · coverage⌉-th smallest of n scores: a new score is no larger with at least that probability if all are
 * exchangeable. ∞ where that is more than n: too few to promise so much. Vovk, Gammerman & Shafer 2005.
 * @param sorted ascending
 * @throws RangeError unless 0 < coverage < 1
 */
export function conformalQuantile(sorted: readonly number[], coverage: number): number {
  if (!(coverage > 0 && coverage < 1)) {
    throw new RangeError(`conformalQuantile: expected a coverage between 0 and 1, got ${coverage}`);
  }
  // 100 · 0.9 is not to become 91 by rounding.
  const rank = Math.ceil((sorted.length + 1) * coverage - 1e-9);
  return sorted[rank - 1] ?? Number.POSITIVE_INFINITY;
}

/**
 * The labels, ascending, that a new forecast's truth is among with the probability `coverage`, over forecasts alike: all
 * whose score is at most `conformalQuantile`. May be empty, except under aps and raps with u = 1.
 * @param u as in `conformalScores`: drawn anew where the rule was fitted with random ones
 * @throws RangeError unless 0 < coverage < 1, or when a probability is outside [0, 1]
 */
export function predictionSet(
  { score, calibrationScores }: ConformalRule,
  probabilities: readonly number[],
  coverage: number,
  u = 0,
): number[] {
  const most = conformalQuantile(calibrationScores, coverage);
  return conformalScores(score, probabilities, u).flatMap((value, label) => (value <= most ? [label] : []));
}

/** How a rule did: the share of sets with the truth in them, and the mean number of labels in a set. */
export interface SetMetrics {
  readonly coverage: number;
  readonly meanSize: number;
}

/** @throws RangeError when there is no set, or not as many labels */
export function setMetrics(sets: readonly (readonly number[])[], labels: readonly number[]): SetMetrics {
  const n = sets.length;
  if (n === 0 || labels.length !== n) {
    throw new RangeError(
      `setMetrics: expected as many labels as sets and at least one, got ${labels.length} and ${n}`,
    );
  }
  return {
    coverage: sets.filter((set, i) => set.includes(labels[i]!)).length / n,
    meanSize: sets.reduce((sum, set) => sum + set.length, 0) / n,
  };
}
