import type { Interval } from "./proportion.ts";

/** A difference that is watched as it grows, and what makes it uncertain. */
export interface WatchedDifference {
  /** δ̂. */
  readonly difference: number;
  /** SE², the estimated variance of δ̂; above 0. */
  readonly variance: number;
  /** n, all observations behind it. */
  readonly n: number;
}

/**
 * ρ for which the sequence is narrowest at about N observations: √((−2 ln α + ln(1 − 2 ln α)) / N). Waudby-Smith, Arbour,
 * Sinha, Kennedy & Ramdas 2021, eq. 161 (v7).
 * @throws RangeError unless 0 < α < 1 and N >= 1
 */
export function mixturePrecision(alpha: number, units: number): number {
  if (!(alpha > 0 && alpha < 1 && units >= 1)) {
    throw new RangeError(`mixturePrecision: expected 0 < α < 1 and N >= 1, got ${alpha} and ${units}`);
  }
  return Math.sqrt((-2 * Math.log(alpha) + Math.log(1 - 2 * Math.log(alpha))) / units);
}

/**
 * Half the width of the asymptotic confidence sequence at n: √s² · √(2(nρ² + 1) ln(√(nρ² + 1) / α) / (nρ)²) with
 * s² = n SE². The difference is within it at all n at once with a probability that goes to 1 − α as n at the first look grows:
 * begin after some fifty observations. Ibid., eq. 9.
 */
export function sequenceHalfWidth(
  { variance, n }: Pick<WatchedDifference, "variance" | "n">,
  rho: number,
  alpha: number,
): number {
  const grown = n * rho ** 2 + 1;
  return Math.sqrt((variance * n * 2 * grown * Math.log(Math.sqrt(grown) / alpha)) / (n * rho) ** 2);
}

export function asymptoticInterval(watched: WatchedDifference, rho: number, alpha: number): Interval {
  const half = sequenceHalfWidth(watched, rho, alpha);
  return { low: watched.difference - half, high: watched.difference + half };
}

/**
 * min(1, 1/e) with e = exp(ρ² T / (2(nρ² + 1))) / √(nρ² + 1), T = n δ̂² / SE²: the p-value of no difference at this n, for
 * looks at any n. Its running minimum is one too. Ibid., eq. 155.
 */
export function asymptoticPValue({ difference, variance, n }: WatchedDifference, rho: number): number {
  if (difference === 0) return 1;
  const grown = n * rho ** 2 + 1;
  const statistic = (n * difference ** 2) / variance;
  return Math.min(1, Math.exp(-(rho ** 2 * statistic) / (2 * grown)) * Math.sqrt(grown));
}
