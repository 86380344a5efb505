/** Weights of a mixture whose shares depend on what is known of each outcome. */
export interface MixtureWeights {
  /** θ (c, e), >= 0, each row summing to 1. */
  readonly weights: readonly (readonly number[])[];
  /** Mean −ln Σ_e π_e p_e of the given outcomes, nats. */
  readonly nll: number;
}

const MOST_STEPS = 3000;
/** A change of the mean loss this small, in nats, is the end. */
const TOLERANCE = 1e-12;
/** A share this small is none. */
const LEAST_SHARE = 1e-3;

/**
 * Shares of p = Σ_e π_e p_e, π_e = Σ_c φ_c θ_ce, that make the given outcomes most likely: min_θ mean_i −ln Σ_ce φ_ic θ_ce
 * p_ie with each row of θ on the simplex, a convex problem, by expectation–maximisation from equal shares:
 * θ_ce ← Σ_i r_ice / Σ_ie r_ice, r_ice = φ_ic θ_ce p_ie / Σ φ_ic θ_ce p_ie. Shares under 0.001 are then left out.
 * Cost nce a step. Dempster, Laird & Rubin 1977.
 * @param probabilities (n, e): what each part of the mixture gave the outcome that came
 * @param features φ (n, c), >= 0, each row summing to 1; one constant if absent
 * @throws RangeError when there is no outcome, or one that no part gives a chance
 */
export function fitMixtureWeights(
  probabilities: readonly (readonly number[])[],
  features: readonly (readonly number[])[] = probabilities.map(() => [1]),
): MixtureWeights {
  const experts = probabilities[0]?.length ?? 0;
  const corners = features[0]?.length ?? 0;
  if (experts === 0 || !probabilities.every((row) => row.some((p) => p > 0))) {
    throw new RangeError("fitMixtureWeights: expected outcomes that some member gives a probability above 0");
  }
  let weights = Array.from({ length: corners }, () => Array.from({ length: experts }, () => 1 / experts));
  let nll = Infinity;
  for (let step = 0; step < MOST_STEPS; step++) {
    const next = expectation(weights, probabilities, features);
    const before = nll;
    nll = next.nll;
    if (before - nll < TOLERANCE) break;
    weights = next.counts.map((row, c) => asShares(row) ?? weights[c] ?? row);
  }
  weights = weights.map((row) => asShares(row.map((share) => (share < LEAST_SHARE ? 0 : share))) ?? row);
  return { weights, nll: expectation(weights, probabilities, features).nll };
}

/** Responsibilities summed over the outcomes, Σ_i r_ice (c, e), and the mean loss at these weights. */
function expectation(
  weights: readonly (readonly number[])[],
  probabilities: readonly (readonly number[])[],
  features: readonly (readonly number[])[],
): { counts: number[][]; nll: number } {
  const counts = weights.map((row) => row.map(() => 0));
  let nll = 0;
  for (const [i, row] of probabilities.entries()) {
    const phi = features[i] ?? [];
    let total = 0;
    for (const [c, shares] of weights.entries()) {
      for (let e = 0; e < shares.length; e++) total += phi[c]! * shares[e]! * row[e]!;
    }
    nll -= Math.log(total);
    if (total === 0) continue;
    for (const [c, shares] of weights.entries()) {
      for (let e = 0; e < shares.length; e++) counts[c]![e]! += (phi[c]! * shares[e]! * row[e]!) / total;
    }
  }
  return { counts, nll: nll / probabilities.length };
}

/** Null where all are 0: a corner that no outcome is near. */
function asShares(counts: readonly number[]): number[] | null {
  const sum = counts.reduce((a, b) => a + b, 0);
  return sum > 0 ? counts.map((count) => count / sum) : null;
}
