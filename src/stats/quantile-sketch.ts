/*
 * DDSketch (Masson, Rim & Lee 2019): counts in geometric bins. A value x > 0 lies in bin i = ⌈ln x / ln γ⌉,
 * γ = (1 + α)/(1 − α), and 2γⁱ/(γ + 1) is within α·x of every x of the bin. Sketches merge by adding counts, exactly.
 */

/** α: every quantile is told to this share of its value. */
export const QUANTILE_ACCURACY = 0.02;

const gamma = (1 + QUANTILE_ACCURACY) / (1 - QUANTILE_ACCURACY);
const logGamma = Math.log(gamma);
/** Values below are told as this: half a microsecond where values are milliseconds. */
const smallest = 0.0005;

/** Counts of positive numbers by bin. */
export type QuantileSketch = Map<number, number>;

/** Counts `value` in. @throws RangeError unless it is finite and not negative */
export function addValue(sketch: QuantileSketch, value: number): void {
  if (!(value >= 0 && value < Infinity)) {
    throw new RangeError(`quantile sketch: expected a finite number from 0, got ${value}`);
  }
  const bin = Math.ceil(Math.log(Math.max(value, smallest)) / logGamma);
  sketch.set(bin, (sketch.get(bin) ?? 0) + 1);
}

/** Adds the counts of `other` to `sketch`. */
export function addSketch(sketch: QuantileSketch, other: QuantileSketch): void {
  for (const [bin, count] of other) sketch.set(bin, (sketch.get(bin) ?? 0) + count);
}

/**
 * The value of rank ⌊q(n − 1)⌋ from 0 in ascending order, to α; null of no values.
 * @param q in [0, 1]
 */
export function quantile(sketch: QuantileSketch, q: number): number | null {
  let total = 0;
  for (const count of sketch.values()) total += count;
  let left = Math.floor(q * (total - 1));
  for (const bin of [...sketch.keys()].sort((a, b) => a - b)) {
    left -= sketch.get(bin) ?? 0;
    if (left < 0) return (2 * gamma ** bin) / (gamma + 1);
  }
  return null;
}

/** As pairs of variable-length integers, by ascending bin: the step from the bin before (zigzag) and the count. */
export function sketchBytes(sketch: QuantileSketch): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let before = 0;
  for (const bin of [...sketch.keys()].sort((a, b) => a - b)) {
    const step = bin - before;
    pushVarint(bytes, step < 0 ? -2 * step - 1 : 2 * step);
    pushVarint(bytes, sketch.get(bin) ?? 0);
    before = bin;
  }
  return Uint8Array.from(bytes);
}

/** @throws RangeError when they are no sketch's bytes */
export function readSketch(bytes: Uint8Array): QuantileSketch {
  const sketch: QuantileSketch = new Map();
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined)
        throw new RangeError(`quantile sketch: ${bytes.length} bytes end inside a number`);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  let bin = 0;
  while (at < bytes.length) {
    const step = next();
    bin += step % 2 === 0 ? step / 2 : -(step + 1) / 2;
    sketch.set(bin, next());
  }
  return sketch;
}

function pushVarint(bytes: number[], value: number): void {
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  bytes.push(left);
}
