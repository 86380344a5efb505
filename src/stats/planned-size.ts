import { sequenceHalfWidth } from "./asymptotic-sequence.ts";
import { normalQuantile } from "./normal-quantile.ts";

/** What an experiment is planned for. */
export interface SizePlan {
  /** Chance of telling a difference where there is none, both sides together. */
  readonly alpha: number;
  /** Chance of telling the difference where it is as large as planned. */
  readonly power: number;
  /** n · SE² of the difference over n observations: of pairs var(d); of two arms of equal size 2(σ_a² + σ_b²), n counting both. */
  readonly unitVariance: number;
}

/**
 * Observations for one look at the end: ((z_{1−α/2} + z_{power}) / δ)² s². @throws RangeError unless δ ≠ 0
 */
export function fixedSize({ alpha, power, unitVariance }: SizePlan, difference: number): number {
  checkDifference(difference);
  const z = normalQuantile(1 - alpha / 2) + normalQuantile(power);
  return Math.ceil((unitVariance * z ** 2) / difference ** 2);
}

/**
 * The smallest difference that a confidence sequence has refuted 0 for by the n-th observation with the planned power, about:
 * half its width there and z_{power} standard errors. A lower bound of the power, since an earlier look may tell it too.
 */
export function detectableDifference(
  { alpha, power, unitVariance }: SizePlan,
  n: number,
  rho: number,
): number {
  const variance = unitVariance / n;
  return sequenceHalfWidth({ variance, n }, rho, alpha) + normalQuantile(power) * Math.sqrt(variance);
}

/** The fewest observations after which `detectableDifference` is at most this large. @throws RangeError unless δ ≠ 0 */
export function sequentialSize(plan: SizePlan, difference: number, rho: number): number {
  checkDifference(difference);
  const enough = (n: number): boolean => detectableDifference(plan, n, rho) <= Math.abs(difference);
  let high = 1;
  while (!enough(high)) high *= 2;
  let low = high / 2;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (enough(middle)) high = middle;
    else low = middle;
  }
  return high;
}

function checkDifference(difference: number): void {
  if (!(Math.abs(difference) > 0)) {
    throw new RangeError(`planned size: expected a difference other than 0, got ${difference}`);
  }
}
