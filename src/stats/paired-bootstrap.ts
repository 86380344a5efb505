import type { Random } from "../linalg/random.ts";
import type { Interval } from "./proportion.ts";

export interface PairedBootstrapOptions {
  readonly random: Random;
  /** B. */
  readonly resamples: number;
}

/**
 * 95 % interval of a difference D = Σ d_i / Σ s_i between two ways that were tried on the same n units: d_i is the
 * difference at unit i and s_i its size (1 for a share of items; bytes for bits per byte). Units are drawn n at a time
 * with replacement, B times; the ends are the percentiles 2.5 and 97.5 of the D so found, between the two nearest
 * values linearly. Efron & Tibshirani 1993, ch. 13. With few units (under 20 or so) it is too narrow. Cost nB.
 * @throws RangeError when there is no unit, the lengths differ, or a size is not above 0
 */
export function pairedBootstrap(
  differences: readonly number[],
  sizes: readonly number[],
  { random, resamples }: PairedBootstrapOptions,
): Interval {
  const n = differences.length;
  if (n === 0 || sizes.length !== n || !sizes.every((size) => size > 0)) {
    throw new RangeError(
      `pairedBootstrap: expected as many sizes above 0 as differences and at least one, got ${sizes.length} sizes and ${n} differences`,
    );
  }
  const found = new Float64Array(resamples);
  for (let b = 0; b < resamples; b++) {
    let difference = 0;
    let size = 0;
    for (let draw = 0; draw < n; draw++) {
      const unit = random.integer(n);
      difference += differences[unit]!;
      size += sizes[unit]!;
    }
    found[b] = difference / size;
  }
  found.sort();
  return { low: quantile(found, 0.025), high: quantile(found, 0.975) };
}

/** Linear between the two nearest of the ascending values: type 7 of Hyndman & Fan 1996. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (at - Math.floor(at)) * (above - below);
}
