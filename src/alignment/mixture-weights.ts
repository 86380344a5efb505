/** Weights of a mean of probabilities. */
export interface MixtureWeights {
  /** w (m), >= 0, summing to 1. */
  readonly weights: readonly number[];
  /** Mean −ln Σ w_m p_m of the given outcomes, nats. */
  readonly nll: number;
}

const MOST_STEPS = 2000;
const TOLERANCE = 1e-8;

/**
 * Weights of p = Σ w_m p_m that make the given outcomes most likely: min_w mean_i −ln Σ_m w_m p_m(i) on the simplex, a
 * convex problem, by expectation–maximisation from w = 1/m: w_m ← mean_i w_m p_m(i) / Σ_n w_n p_n(i). Cost nm a step.
 * Dempster, Laird & Rubin 1977.
 * @param probabilities (n, m): what each member gave the outcome that came
 * @throws RangeError when there is no outcome, or none of the members gives one of them a chance
 */
export function fitMixtureWeights(probabilities: readonly (readonly number[])[]): MixtureWeights {
  const count = probabilities[0]?.length ?? 0;
  let weights = Array.from({ length: count }, () => 1 / count);
  if (count === 0 || probabilities.some((row) => !(mixed(weights, row) > 0))) {
    throw new RangeError("fitMixtureWeights: expected outcomes that some member gives a probability above 0");
  }
  for (let step = 0; step < MOST_STEPS; step++) {
    const next = Array.from({ length: count }, () => 0);
    for (const row of probabilities) {
      const total = mixed(weights, row) * probabilities.length;
      for (let m = 0; m < count; m++) next[m] = next[m]! + (weights[m]! * row[m]!) / total;
    }
    const change = Math.max(...next.map((weight, m) => Math.abs(weight - weights[m]!)));
    weights = next;
    if (change < TOLERANCE) break;
  }
  const nll =
    probabilities.reduce((sum, row) => sum - Math.log(mixed(weights, row)), 0) / probabilities.length;
  return { weights, nll };
}

function mixed(weights: readonly number[], row: readonly number[]): number {
  return row.reduce((sum, p, m) => sum + weights[m]! * p, 0);
}
