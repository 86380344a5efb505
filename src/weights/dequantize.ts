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
  /** What few bits stand for, of the types that have no more than five. */
  readonly lowBits?: LowBitLayout;
}

interface LowBitLayout {
  readonly bits: 4 | 5;
  /** The code of 0, where all blocks have the same: m = −s · zero. */
  readonly zero?: number;
  readonly split: (bytes: Uint8Array, blocks: LowBitBlocks) => void;
}

/** Elements that share a scale and a minimum in types of few bits. */
const SUB_BLOCK = 32;

/** Elements x = s · q + m in blocks of 32: a code q for each, s and m for each block. */
export interface LowBitBlocks {
  readonly bits: 4 | 5;
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
  readonly minima: Float32Array<ArrayBuffer>;
}

function lowBit(number: number, elements: number, bytes: number, lowBits: LowBitLayout): BlockLayout {
  return {
    number,
    elements,
    bytes,
    lowBits,
    decode(encoded, out) {
      const { codes, scales, minima } = splitBlocks(lowBits, encoded, out.length);
      const { zero } = lowBits;
      for (let i = 0; i < out.length; i++) {
        const [scale, code] = [scales[i >> 5]!, codes[i]!];
        // As the reference has it: with a zero that has a sign.
        out[i] = zero === undefined ? scale * code + minima[i >> 5]! : scale * (code - zero);
      }
    },
  };
}

function splitBlocks(layout: LowBitLayout, bytes: Uint8Array, elements: number): LowBitBlocks {
  const blocks: LowBitBlocks = {
    bits: layout.bits,
    codes: new Uint8Array(elements),
    scales: new Float32Array(elements / SUB_BLOCK),
    minima: new Float32Array(elements / SUB_BLOCK),
  };
  layout.split(bytes, blocks);
  return blocks;
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
function splitQ4_0(bytes: Uint8Array, { codes, scales, minima }: LowBitBlocks): void {
  for (let block = 0, at = 0; block < scales.length; block++, at += 18) {
    scales[block] = f16(bytes, at);
    minima[block] = -8 * scales[block]!;
    nibbles(bytes, at + 2, codes, block);
  }
}

/** d 0–1, m 2–3, q 4–19 as in Q4_0: x = d·q + m. */
function splitQ4_1(bytes: Uint8Array, { codes, scales, minima }: LowBitBlocks): void {
  for (let block = 0, at = 0; block < scales.length; block++, at += 20) {
    scales[block] = f16(bytes, at);
    minima[block] = f16(bytes, at + 2);
    nibbles(bytes, at + 4, codes, block);
  }
}

/** 16 bytes, as in Q4_0. */
function nibbles(bytes: Uint8Array, at: number, codes: Uint8Array, block: number): void {
  const first = SUB_BLOCK * block;
  for (let j = 0; j < 16; j++) {
    const pair = bytes[at + j]!;
    codes[first + j] = pair & 15;
    codes[first + j + 16] = pair >> 4;
  }
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

/** d 0–1, fifth bits 2–5 (bit i is element i's), low bits 6–21 as in Q4_0: x = d·(q − 16). */
function splitQ5_0(bytes: Uint8Array, { codes, scales, minima }: LowBitBlocks): void {
  for (let block = 0, at = 0; block < scales.length; block++, at += 22) {
    scales[block] = f16(bytes, at);
    minima[block] = -16 * scales[block]!;
    nibbles(bytes, at + 6, codes, block);
    fifths(uint32(bytes, at + 2), codes, block);
  }
}

/** d 0–1, m 2–3, fifth bits 4–7, low bits 8–23: x = d·q + m. */
function splitQ5_1(bytes: Uint8Array, { codes, scales, minima }: LowBitBlocks): void {
  for (let block = 0, at = 0; block < scales.length; block++, at += 24) {
    scales[block] = f16(bytes, at);
    minima[block] = f16(bytes, at + 2);
    nibbles(bytes, at + 8, codes, block);
    fifths(uint32(bytes, at + 4), codes, block);
  }
}

/** Adds bit j of `bits` to element j. */
function fifths(bits: number, codes: Uint8Array, block: number): void {
  for (let j = 0; j < SUB_BLOCK; j++) codes[SUB_BLOCK * block + j]! |= ((bits >> j) & 1) << 4;
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
function splitQ4_K(bytes: Uint8Array, blocks: LowBitBlocks): void {
  for (let block = 0, at = 0; block < blocks.scales.length; block += 8, at += 144) {
    splitEight(bytes, at, at + 16, blocks, block);
  }
}

/** As Q4_K, with fifth bits 16–47 (bit s of byte j is element j's of sub-block s) and low bits 48–175. */
function splitQ5_K(bytes: Uint8Array, blocks: LowBitBlocks): void {
  for (let block = 0, at = 0; block < blocks.scales.length; block += 8, at += 176) {
    splitEight(bytes, at, at + 48, blocks, block);
    for (let i = 0; i < 8 * SUB_BLOCK; i++) {
      const high = (bytes[at + 16 + (i % SUB_BLOCK)]! >> Math.floor(i / SUB_BLOCK)) & 1;
      blocks.codes[SUB_BLOCK * block + i]! |= high << 4;
    }
  }
}

/** Eight sub-blocks, those from `block` on, whose nibbles are at `quanta`. */
function splitEight(
  bytes: Uint8Array,
  at: number,
  quanta: number,
  { codes, scales, minima }: LowBitBlocks,
  block: number,
): void {
  const [d, dmin] = [f16(bytes, at), f16(bytes, at + 2)];
  for (let s = 0; s < 8; s++) {
    scales[block + s] = d * subScale(bytes, at + 4, s);
    minima[block + s] = -dmin * subMinimum(bytes, at + 4, s);
    const [from, shift] = [quanta + (s >> 1) * 32, (s & 1) * 4];
    const first = SUB_BLOCK * (block + s);
    for (let j = 0; j < SUB_BLOCK; j++) codes[first + j] = (bytes[from + j]! >> shift) & 15;
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
  ["Q4_0", lowBit(2, 32, 18, { bits: 4, zero: 8, split: splitQ4_0 })],
  ["Q4_1", lowBit(3, 32, 20, { bits: 4, split: splitQ4_1 })],
  ["Q5_0", lowBit(6, 32, 22, { bits: 5, zero: 16, split: splitQ5_0 })],
  ["Q5_1", lowBit(7, 32, 24, { bits: 5, split: splitQ5_1 })],
  ["Q4_K", lowBit(12, 256, 144, { bits: 4, split: splitQ4_K })],
  ["Q5_K", lowBit(13, 256, 176, { bits: 5, split: splitQ5_K })],
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

/** Bits of a code of `type`, where it has no more than five; else null. @throws TypeError on an unknown type */
export function lowBitsOf(type: string): 4 | 5 | null {
  return layoutOf(type).lowBits?.bits ?? null;
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
  const out = new Float32Array(elementsIn(type, bytes));
  layoutOf(type).decode(bytes, out);
  return out;
}

/**
 * The same as codes, scales and minima, of a type that has `lowBitsOf`. s and m are exact in float32.
 * @throws TypeError on another type; RangeError when `bytes` are not whole blocks
 */
export function splitLowBits(type: string, bytes: Uint8Array): LowBitBlocks {
  const { lowBits } = layoutOf(type);
  if (lowBits === undefined) throw new TypeError(`splitLowBits: expected a type of few bits, got ${type}`);
  return splitBlocks(lowBits, bytes, elementsIn(type, bytes));
}

function elementsIn(type: string, bytes: Uint8Array): number {
  const layout = layoutOf(type);
  if (bytes.byteLength % layout.bytes !== 0) {
    throw new RangeError(
      `dequantize: expected whole ${type} blocks of ${layout.bytes} bytes, got ${bytes.byteLength} bytes`,
    );
  }
  return (bytes.byteLength / layout.bytes) * layout.elements;
}
