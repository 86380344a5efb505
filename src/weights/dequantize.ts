import { float16ToFloat32, float16Values } from "./float16.ts";

/**
 * Block formats of ggml, dequantised exactly as the reference does in float32.
 *
 * Every scale is a half (11 significant bits) and every quantum at most 8 bits, so products are exact in float32
 * and sums are exact in the float64 of JavaScript: the one rounding happens when the result is stored, as in the
 * reference. Bytes are little-endian. Layouts below give byte ranges within a block; d, m, dmin are halves.
 */

/** How a type lays out its elements: `bytes` hold `elements`. */
interface BlockLayout {
  /** The type's number in a GGUF file. */
  readonly number: number;
  readonly elements: number;
  readonly bytes: number;
  /** Writes `out.length / elements` blocks. */
  readonly decode: (bytes: Uint8Array, out: Float32Array) => void;
}

const f16 = (bytes: Uint8Array, at: number): number => float16Values[bytes[at]! | (bytes[at + 1]! << 8)]!;

function decodeF32(bytes: Uint8Array, out: Float32Array): void {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
}

function decodeF16(bytes: Uint8Array, out: Float32Array): void {
  const halves = new Uint16Array(out.length);
  new Uint8Array(halves.buffer).set(bytes);
  out.set(float16ToFloat32(halves));
}

/** The upper half of a float32. */
function decodeBF16(bytes: Uint8Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i++) bits[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
}

/** d 0–1, q 2–33 as int8: x = d·q. */
function decodeQ8_0(bytes: Uint8Array, out: Float32Array): void {
  const quanta = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0, at = 0; i < out.length; i += 32, at += 34) {
    const d = f16(bytes, at);
    for (let j = 0; j < 32; j++) out[i + j] = d * quanta[at + 2 + j]!;
  }
}

/** d 0–1, q 2–17: low nibbles are elements 0–15, high ones 16–31; x = d·(q − 8). */
function decodeQ4_0(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0, at = 0; i < out.length; i += 32, at += 18) {
    const d = f16(bytes, at);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 2 + j]!;
      out[i + j] = d * ((pair & 15) - 8);
      out[i + j + 16] = d * ((pair >> 4) - 8);
    }
  }
}

/** d 0–1, m 2–3, q 4–19 as in Q4_0: x = d·q + m. */
function decodeQ4_1(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0, at = 0; i < out.length; i += 32, at += 20) {
    const d = f16(bytes, at);
    const m = f16(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 4 + j]!;
      out[i + j] = d * (pair & 15) + m;
      out[i + j + 16] = d * (pair >> 4) + m;
    }
  }
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

/** d 0–1, fifth bits 2–5 (bit i is element i's), low bits 6–21 as in Q4_0: x = d·(q − 16). */
function decodeQ5_0(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0, at = 0; i < out.length; i += 32, at += 22) {
    const d = f16(bytes, at);
    const high = uint32(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 6 + j]!;
      out[i + j] = d * (((pair & 15) | (((high >> j) & 1) << 4)) - 16);
      out[i + j + 16] = d * (((pair >> 4) | (((high >> (j + 16)) & 1) << 4)) - 16);
    }
  }
}

/** d 0–1, m 2–3, fifth bits 4–7, low bits 8–23: x = d·q + m. */
function decodeQ5_1(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0, at = 0; i < out.length; i += 32, at += 24) {
    const d = f16(bytes, at);
    const m = f16(bytes, at + 2);
    const high = uint32(bytes, at + 4);
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + 8 + j]!;
      out[i + j] = d * ((pair & 15) | (((high >> j) & 1) << 4)) + m;
      out[i + j + 16] = d * ((pair >> 4) | (((high >> (j + 16)) & 1) << 4)) + m;
    }
  }
}

/** Scale of sub-block s (0–7) out of the 12 bytes at `at`: six bits, of s ≥ 4 the upper two kept with s − 4. */
function subScale(bytes: Uint8Array, at: number, s: number): number {
  if (s < 4) return bytes[at + s]! & 63;
  return (bytes[at + s + 4]! & 15) | ((bytes[at + s - 4]! >> 6) << 4);
}

/** Minimum of sub-block s, packed likewise. */
function subMinimum(bytes: Uint8Array, at: number, s: number): number {
  if (s < 4) return bytes[at + s + 4]! & 63;
  return (bytes[at + s + 4]! >> 4) | ((bytes[at + s]! >> 6) << 4);
}

/**
 * d 0–1, dmin 2–3, scales and minima 4–15, q 16–143. Eight sub-blocks of 32; each 32 bytes of q hold one sub-block
 * in the low nibbles and the next in the high ones: x = d·scale·q − dmin·minimum.
 */
function decodeQ4_K(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0, at = 0; i < out.length; i += 256, at += 144) {
    const d = f16(bytes, at);
    const dmin = f16(bytes, at + 2);
    for (let s = 0; s < 8; s++) {
      const scale = d * subScale(bytes, at + 4, s);
      const minimum = dmin * subMinimum(bytes, at + 4, s);
      const quanta = at + 16 + (s >> 1) * 32;
      const shift = (s & 1) * 4;
      const first = i + s * 32;
      for (let j = 0; j < 32; j++) out[first + j] = scale * ((bytes[quanta + j]! >> shift) & 15) - minimum;
    }
  }
}

/** As Q4_K, with fifth bits 16–47 (bit s of byte j is element j's of sub-block s) and low bits 48–175. */
function decodeQ5_K(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0, at = 0; i < out.length; i += 256, at += 176) {
    const d = f16(bytes, at);
    const dmin = f16(bytes, at + 2);
    for (let s = 0; s < 8; s++) {
      const scale = d * subScale(bytes, at + 4, s);
      const minimum = dmin * subMinimum(bytes, at + 4, s);
      const quanta = at + 48 + (s >> 1) * 32;
      const shift = (s & 1) * 4;
      const first = i + s * 32;
      for (let j = 0; j < 32; j++) {
        const high = (bytes[at + 16 + j]! >> s) & 1;
        out[first + j] = scale * (((bytes[quanta + j]! >> shift) & 15) | (high << 4)) - minimum;
      }
    }
  }
}

/**
 * Low four bits 0–127, high two 128–191, int8 scales 192–207 (one per 16 elements), d 208–209: x = d·scale·(q − 32).
 * Each half of the block, 128 elements, is four runs of 32: runs 0 and 1 in the low nibbles of 64 bytes, 2 and 3 in
 * the high ones; run r's upper bits are bits 2r and 2r + 1 of 32 bytes.
 */
function decodeQ6_K(bytes: Uint8Array, out: Float32Array): void {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0, at = 0; i < out.length; i += 256, at += 210) {
    const d = f16(bytes, at + 208);
    for (let run = 0; run < 8; run++) {
      const half = run >> 2;
      const low = at + half * 64 + (run & 1) * 32;
      const lowShift = (run & 2) * 2;
      const high = at + 128 + half * 32;
      const highShift = (run & 3) * 2;
      for (let j = 0; j < 32; j++) {
        const scale = d * signed[at + 192 + run * 2 + (j >> 4)]!;
        const q = ((bytes[low + j]! >> lowShift) & 15) | (((bytes[high + j]! >> highShift) & 3) << 4);
        out[i + run * 32 + j] = scale * (q - 32);
      }
    }
  }
}

const layouts: ReadonlyMap<string, BlockLayout> = new Map([
  ["F32", { number: 0, elements: 1, bytes: 4, decode: decodeF32 }],
  ["F16", { number: 1, elements: 1, bytes: 2, decode: decodeF16 }],
  ["BF16", { number: 30, elements: 1, bytes: 2, decode: decodeBF16 }],
  ["Q8_0", { number: 8, elements: 32, bytes: 34, decode: decodeQ8_0 }],
  ["Q4_0", { number: 2, elements: 32, bytes: 18, decode: decodeQ4_0 }],
  ["Q4_1", { number: 3, elements: 32, bytes: 20, decode: decodeQ4_1 }],
  ["Q5_0", { number: 6, elements: 32, bytes: 22, decode: decodeQ5_0 }],
  ["Q5_1", { number: 7, elements: 32, bytes: 24, decode: decodeQ5_1 }],
  ["Q4_K", { number: 12, elements: 256, bytes: 144, decode: decodeQ4_K }],
  ["Q5_K", { number: 13, elements: 256, bytes: 176, decode: decodeQ5_K }],
  ["Q6_K", { number: 14, elements: 256, bytes: 210, decode: decodeQ6_K }],
]);

/** The types that can be dequantised. */
export const tensorTypes: readonly string[] = [...layouts.keys()];

/** The type that has this number in a GGUF file; undefined when it cannot be dequantised. */
export function typeNumbered(number: number): string | undefined {
  return tensorTypes.find((type) => layouts.get(type)?.number === number);
}

function layoutOf(type: string): BlockLayout {
  const layout = layouts.get(type);
  if (layout === undefined) {
    throw new TypeError(`dequantize: expected one of ${tensorTypes.join(", ")}, got type ${type}`);
  }
  return layout;
}

/** Elements and bytes of one block of `type`. @throws TypeError on an unknown type */
export function blockLayout(type: string): { readonly elements: number; readonly bytes: number } {
  return layoutOf(type);
}

/**
 * The float32 values of whole blocks of `type`, in their order.
 * @throws TypeError on an unknown type; RangeError when `bytes` are not whole blocks
 */
export function dequantize(type: string, bytes: Uint8Array): Float32Array {
  const layout = layoutOf(type);
  if (bytes.byteLength % layout.bytes !== 0) {
    throw new RangeError(
      `dequantize: expected whole ${type} blocks of ${layout.bytes} bytes, got ${bytes.byteLength} bytes`,
    );
  }
  const out = new Float32Array((bytes.byteLength / layout.bytes) * layout.elements);
  layout.decode(bytes, out);
  return out;
}
