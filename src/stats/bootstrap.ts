import type { Random } from "../linalg/random.ts";
import type { Interval } from "./proportion.ts";

export interface BootstrapOptions {
  readonly random: Random;
  /** B. */
  readonly resamples: number;
}

/**
 * 95 % interval of a statistic of n units, such as the calibration error of verdicts; with pairs as units and the
 * difference of two statistics, that of the difference. Units are drawn n at a time with replacement, B times; the ends
 * are the percentiles 2.5 and 97.5 of the values so found, between the two nearest linearly. Resamples on which the
 * statistic is not a number are left out; NaN where none is left. Efron & Tibshirani 1993, ch. 13. With few units
 * (under 20 or so) it is too narrow, and a calibration error, which chance alone raises, lies near its low end.
 * @param statistic reads its argument, which is filled anew for the next resample, and keeps nothing of it
 * @throws RangeError when there is no unit
 */
export function bootstrapInterval<Unit>(
  units: readonly Unit[],
  statistic: (sample: readonly Unit[]) => number,
  { random, resamples }: BootstrapOptions,
): Interval {
  const n = units.length;
  if (n === 0) throw new RangeError("bootstrapInterval: expected at least one unit");
  const sample = units.slice();
  const found = new Float64Array(resamples);
  let count = 0;
  for (let b = 0; b < resamples; b++) {
    for (let draw = 0; draw < n; draw++) sample[draw] = units[random.integer(n)]!;
    const value = statistic(sample);
    if (!Number.isNaN(value)) found[count++] = value;
  }
  const sorted = found.subarray(0, count).sort();
  return { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
}

/** Linear between the two nearest of the ascending values: type 7 of Hyndman & Fan 1996. NaN without values. */
export function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (at - Math.floor(at)) * (above - below);
}
