import { bootstrapInterval, type BootstrapOptions } from "./bootstrap.ts";
import type { Interval } from "./proportion.ts";

/**
 * 95 % interval of a difference D = Σ d_i / Σ s_i between two ways that were tried on the same n units: d_i is the
 * difference at unit i and s_i its size (1 for a share of items; bytes for bits per byte), by `bootstrapInterval` over
 * the units. Cost nB.
 * @throws RangeError when there is no unit, the lengths differ, or a size is not above 0
 */
export function pairedBootstrap(
  differences: readonly number[],
  sizes: readonly number[],
  options: BootstrapOptions,
): Interval {
  const n = differences.length;
  if (n === 0 || sizes.length !== n || !sizes.every((size) => size > 0)) {
    throw new RangeError(
      `pairedBootstrap: expected as many sizes above 0 as differences and at least one, got ${sizes.length} sizes and ${n} differences`,
    );
  }
  const ratio = (units: readonly number[]): number => {
    let difference = 0;
    let size = 0;
    for (const unit of units) {
      difference += differences[unit]!;
      size += sizes[unit]!;
    }
    return difference / size;
  };
  return bootstrapInterval(Array.from(differences.keys()), ratio, options);
}
