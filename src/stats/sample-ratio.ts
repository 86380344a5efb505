import { chiSquareTail, logGamma } from "./gamma-function.ts";

/** How many units went to each arm while the weights were these. */
export interface SampledArms {
  readonly counts: readonly number[];
  /** Above 0, of any sum. */
  readonly weights: readonly number[];
}

/** Whether units went to the arms as they were dealt. */
export interface SampleRatio {
  /** χ² = Σ (O − E)² / E, summed over the periods. */
  readonly chiSquare: number;
  /** Of the χ² at one look, planned ahead; 1 where there is nothing to compare. */
  readonly pValue: number;
  /** Right at any number of looks. */
  readonly sequentialPValue: number;
}

/** At most one experiment in a thousand whose units are dealt right has a smaller sequential p-value at any time. */
export const SAMPLE_RATIO_ALARM = 0.001;

/**
 * Sample-ratio mismatch. The sequential test is the mixture of multinomials over a uniform Dirichlet prior,
 * E = Γ(K) Π Γ(1 + S_k) / (Γ(K + n) Π θ_k^{S_k}), a martingale while the shares are θ, so min(1, 1/E) is a p-value at all
 * times at once (Lindon & Malek 2022, eq. 5); over several periods the E of each are multiplied.
 * @throws RangeError where counts and weights do not fit or a weight is not above 0
 */
export function sampleRatio(periods: readonly SampledArms[]): SampleRatio {
  let chiSquare = 0;
  let degrees = 0;
  let evidence = 0;
  for (const { counts, weights } of periods) {
    if (counts.length !== weights.length || weights.some((weight) => !(weight > 0))) {
      throw new RangeError(
        `sampleRatio: expected a weight above 0 for each of ${counts.length} counts, got ${weights.join(", ")}`,
      );
    }
    const arms = counts.length;
    const n = counts.reduce((sum, count) => sum + count, 0);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    if (n === 0 || arms < 2) continue;
    degrees += arms - 1;
    evidence += logGamma(arms) - logGamma(arms + n);
    for (const [k, count] of counts.entries()) {
      const share = weights[k]! / total;
      chiSquare += (count - share * n) ** 2 / (share * n);
      evidence += logGamma(1 + count) - count * Math.log(share);
    }
  }
  return {
    chiSquare,
    pValue: degrees === 0 ? 1 : chiSquareTail(chiSquare, degrees),
    sequentialPValue: Math.min(1, Math.exp(-evidence)),
  };
}
