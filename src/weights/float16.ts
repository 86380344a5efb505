/** IEEE 754 half precision: 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits. */

const bitsView = new DataView(new ArrayBuffer(4));

/** The float32 bits of one half given as its 16 bits. Every half is a float32, so nothing is rounded. */
function widen(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // A subnormal half, fraction · 2⁻²⁴, is a normal float32: its leading bit becomes the implicit one.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

/** Float32 bits of each of the 65,536 halves. */
const widened = Uint32Array.from({ length: 0x10000 }, (_, half) => widen(half));

/** Float32 value of each of the 65,536 halves, by the half's bits. */
export const float16Values: Float32Array = new Float32Array(widened.buffer);

/** Halves (their bits) to float32: exact, NaN payloads kept. */
export function float16ToFloat32(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = widened[halves[i]!]!;
  return new Float32Array(bits.buffer);
}

/**
 * Bits of the half nearest to `value` (taken as a float32), ties to the even fraction.
 * From 65520 on the result is infinite; below 2⁻²⁵, and at it, zero. NaN gives a quiet NaN.
 */
export function nearestFloat16(value: number): number {
  bitsView.setFloat32(0, value);
  const bits = bitsView.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | roundShift(magnitude - 0x38000000, 13);
  const exponent = magnitude >>> 23;
  if (exponent < 102) return sign;
  return sign | roundShift((magnitude & 0x7fffff) | 0x800000, 126 - exponent);
}

/** value / 2^shift, rounded to the nearest integer, ties to even. */
function roundShift(value: number, shift: number): number {
  const floor = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (floor & 1) === 1) ? floor + 1 : floor;
}

/** Float32 to halves (their bits), each to the nearest, ties to even. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = nearestFloat16(values[i]!);
  return halves;
}
