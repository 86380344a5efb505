import { nearestFloat16 } from "../../../src/weights/float16.ts";
import {
  at,
  createAssembler,
  forAll,
  IF,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15,
  R8,
  R9,
  RAX,
  RBP,
  RBX,
  RCX,
  RDI,
  RDX,
  RSI,
  type Assembler,
} from "./assembler.ts";
import { spread } from "./vector-math.ts";

/*
 * y = x Wᵀ of rows x in float32 and a matrix W in blocks of 32 columns, both sides in whole numbers q and c:
 *   y_n = Σ_b s_nb t_b Σ_{i in b} q_ni c_i + m_nb t_b Σ_{i in b} c_i, with w = s q + m and x ≈ t c in blocks b.
 * q has 4 or 5 bits, or 8, where m is always −128 s. A block of a tile's 32 outputs is computed by `vpdpbusd`, four
 * products of unsigned by signed bytes in each of 16 numbers, for up to six rows at once.
 */

/** Weights and activations of a block share a scale. */
export const BLOCK = 32;
/** Outputs that are computed together. */
export const TILE = 32;
/** Bits of a weight's code. */
export type Bits = 4 | 5 | 8;

/**
 * Where in a block of a tile lies what, bytes. Codes are by fours of the columns (8, 32, 4); of 4 and 5 bits, the first
 * four of these share their bytes with the last four, and fifth bits follow, one for each byte of what is computed
 * together, in the order in which that is done. Scales and minima are halves, or of 8 bits float32 and none.
 */
const LAYOUTS = {
  4: { fifths: 512, scales: 512, minima: 576, bytes: 640 },
  5: { fifths: 512, scales: 640, minima: 704, bytes: 768 },
  8: { fifths: 1024, scales: 1024, minima: 1152, bytes: 1152 },
} as const;

/** Bytes of a block of a tile. */
export function tileBlockBytes(bits: Bits): number {
  return LAYOUTS[bits].bytes;
}

/** Rows that are computed together at most. */
export const MOST_ROWS = 6;
/** Rows that are quantised before they are multiplied. */
export const PANEL_ROWS = 256;
/** A row's block of activations: 32 codes c, t, −128 Σ c as a whole number, and t Σ c. */
export const RECORD_BYTES = BLOCK + 12;
const SCALE_AT = BLOCK;
const START_AT = BLOCK + 4;
const MASS_AT = BLOCK + 8;

/** Where a product's numbers lie behind its address, each in 64 bits. */
export const PRODUCT = {
  /** Rows packed by `packTiles`. */
  weights: 0,
  blocks: 8,
  /** N, in bytes of float32. */
  rowBytes: 16,
  tiles: 24,
  /** Bytes of a tile. */
  tileBytes: 32,
  /** N − TILE, in bytes of float32: where the last tile begins. */
  lastTileAt: 40,
  /** Memory for the activations' codes of PANEL_ROWS rows. */
  codes: 48,
  /** These change from call to call: x and y of the panel and its rows, */
  x: 56,
  y: 64,
  rows: 72,
  /** and how it is divided: groups, the last of which may overlap the one before, their rows, and bytes of their records. */
  groups: 80,
  groupRows: 88,
  recordsBytes: 96,
  /** Tiles that one call multiplies. */
  tilesAtOnce: 104,
} as const;
export const PRODUCT_BYTES = 112;

/** For `quantizeCode` and `multiplyCode`. */
export const CONSTANTS = Float32Array.of(0, 1e-30, 127, 1 / 127, 0, 0);
const [LOW_BITS_AT, FIFTHS_AT] = [16, 20] as const;
for (const [place, bits] of [
  [0, 0x7f_ff_ff_ff],
  [LOW_BITS_AT / 4, 0x0f_0f_0f_0f],
  [FIFTHS_AT / 4, 0x10_10_10_10],
] as const) {
  new Uint32Array(CONSTANTS.buffer)[place] = bits;
}

const PREFETCHED_BLOCKS = 4;

/** RAX: the first row of group RDX of the product at RDI, min(group · groupRows, rows − groupRows). Changes R14. */
function firstRow(a: Assembler): void {
  a.mov(R14, at(RDI, PRODUCT.groupRows));
  a.mov(RAX, at(RDI, PRODUCT.rows));
  a.sub(RAX, R14);
  a.mul(R14, RDX);
  a.cmp(RAX, R14);
  a.moveIf(IF.greater, RAX, R14);
}

/** Code of f(product): quantises the panel's rows, t = max |x| / 127 in each block, into records, group by group. */
export function quantizeCode(constants: bigint): Uint8Array {
  const a = createAssembler();
  const [MASK, TINY, LARGEST, PER_LARGEST, ZERO] = [31, 30, 29, 28, 27] as const;
  a.enter();
  a.movAddress(RAX, constants);
  for (const [i, register] of [MASK, TINY, LARGEST, PER_LARGEST].entries())
    a.broadcast(register, at(RAX, 4 * i));
  a.xor(ZERO, ZERO, ZERO);
  a.mov(RBX, at(RDI, PRODUCT.recordsBytes));
  // A row of x, in bytes.
  a.mov(RBP, at(RDI, PRODUCT.blocks));
  a.mov(R12, RBP);
  a.mul(R12, RBX);
  a.shl(RBP, Math.log2(4 * BLOCK));
  const [groups, rows, blocks] = [a.label(), a.label(), a.label()];
  a.mov(R8, at(RDI, PRODUCT.codes));
  a.movAddress(RDX, 0n);
  a.place(groups);
  firstRow(a);
  a.mul(RAX, RBP);
  a.add(RAX, at(RDI, PRODUCT.x));
  a.mov(RSI, RAX);
  a.mov(R9, at(RDI, PRODUCT.groupRows));
  a.mov(R10, R8);
  a.place(rows);
  a.mov(RCX, at(RDI, PRODUCT.blocks));
  a.mov(R11, R10);
  a.place(blocks);
  a.load(0, at(RSI));
  a.load(1, at(RSI, 64));
  a.and(2, 0, MASK);
  a.and(3, 1, MASK);
  a.max(2, 2, 3);
  spread(a, a.max, 2, 3);
  a.max(2, 2, TINY);
  a.multiply(4, 2, PER_LARGEST);
  a.storeLowest(at(R11, SCALE_AT), 4);
  a.divide(5, LARGEST, 2);
  for (const i of [0, 1]) {
    a.multiply(i, i, 5);
    a.toIntegers(i, i);
    a.storeBytes(at(R11, 16 * i), i);
  }
  a.addIntegers(2, 0, 1);
  spread(a, a.addIntegers, 2, 3);
  a.toFloats(6, 2);
  a.multiply(6, 6, 4);
  a.storeLowest(at(R11, MASS_AT), 6);
  a.shiftLeft(2, 2, 7);
  a.subtractIntegers(2, ZERO, 2);
  a.storeLowest(at(R11, START_AT), 2);
  a.add(RSI, { imm: 4 * BLOCK });
  a.add(R11, RBX);
  a.sub(RCX, { imm: 1 });
  a.jump(blocks, IF.notEqual);
  a.add(R10, { imm: RECORD_BYTES });
  a.sub(R9, { imm: 1 });
  a.jump(rows, IF.notEqual);
  a.add(R8, R12);
  a.add(RDX, { imm: 1 });
  a.cmp(RDX, at(RDI, PRODUCT.groups));
  a.jump(groups, IF.less);
  a.leave();
  return a.finish();
}

/** Vectors of a row: a block's sums in whole numbers, and the row's so far, of either half of a tile. */
const sums = (row: number, half: number): number => 2 * row + half;
const totals = (row: number, half: number): number => 2 * (MOST_ROWS + row) + half;

/** Vectors of four columns' codes, of either half of a tile; of few bits also those that share their bytes. */
const CODES = [24, 25, 26, 27] as const;
const [X, LOW_BITS, FIFTHS] = [28, 29, 30] as const;
const FOURS = BLOCK / 4;

/** Code of f(product, i): multiplies the panel in groups of `rows` with tiles i · tilesAtOnce and on. */
export function multiplyCode(rows: number, bits: Bits, constants: bigint): Uint8Array {
  const a = createAssembler();
  const layout = LAYOUTS[bits];
  a.enter();
  if (bits !== 8) {
    a.movAddress(RAX, constants);
    a.broadcast(LOW_BITS, at(RAX, LOW_BITS_AT));
    a.broadcast(FIFTHS, at(RAX, FIFTHS_AT));
  }
  // RSI: this tile, R9: the one after the last; R12: its weights, RBP: its bytes; R15: a row of y in bytes.
  a.mov(RAX, at(RDI, PRODUCT.tilesAtOnce));
  a.mul(RSI, RAX);
  a.mov(R9, RSI);
  a.add(R9, RAX);
  a.mov(RAX, at(RDI, PRODUCT.tiles));
  a.cmp(R9, RAX);
  a.moveIf(IF.greater, R9, RAX);
  a.mov(RBP, at(RDI, PRODUCT.tileBytes));
  a.mov(R12, RSI);
  a.mul(R12, RBP);
  a.add(R12, at(RDI, PRODUCT.weights));
  a.mov(R15, at(RDI, PRODUCT.rowBytes));
  const [tiles, groups, blocks, end] = [a.label(), a.label(), a.label(), a.label()];
  a.place(tiles);
  a.cmp(RSI, R9);
  a.jump(end, IF.atLeast);
  // R13: where the tile begins in a row of y; RDX: the group; R11: its records.
  a.mov(R13, RSI);
  a.shl(R13, Math.log2(4 * TILE));
  a.mov(RAX, at(RDI, PRODUCT.lastTileAt));
  a.cmp(R13, RAX);
  a.moveIf(IF.greater, R13, RAX);
  a.movAddress(RDX, 0n);
  a.mov(R11, at(RDI, PRODUCT.codes));
  a.place(groups);
  a.mov(R10, R12);
  a.mov(RCX, at(RDI, PRODUCT.blocks));
  for (let row = 0; row < rows; row++) {
    for (const half of [0, 1]) a.xor(totals(row, half), totals(row, half), totals(row, half));
  }
  a.place(blocks);
  if (bits === 8) addProducts(a, rows);
  else addLowBitProducts(a, rows, bits);
  const [S0, S1, M0, M1] = CODES;
  const [load, vector] = bits === 8 ? ([a.load, 64] as const) : ([a.loadHalves, 32] as const);
  load(S0, at(R10, layout.scales));
  load(S1, at(R10, layout.scales + vector));
  if (bits !== 8) {
    load(M0, at(R10, layout.minima));
    load(M1, at(R10, layout.minima + vector));
  }
  for (let row = 0; row < rows; row++) {
    const record = row * RECORD_BYTES;
    for (const [half, scale, minimum] of [
      [0, S0, M0],
      [1, S1, M1],
    ] as const) {
      a.toFloats(sums(row, half), sums(row, half));
      a.multiply(sums(row, half), sums(row, half), forAll(R11, record + SCALE_AT));
      a.multiplyAdd(totals(row, half), sums(row, half), scale);
      if (bits !== 8) a.multiplyAdd(totals(row, half), minimum, forAll(R11, record + MASS_AT));
    }
  }
  a.add(R10, { imm: layout.bytes });
  a.add(R11, { imm: rows * RECORD_BYTES });
  a.sub(RCX, { imm: 1 });
  a.jump(blocks, IF.notEqual);
  firstRow(a);
  a.mul(RAX, R15);
  a.add(RAX, R13);
  a.add(RAX, at(RDI, PRODUCT.y));
  for (let row = 0; row < rows; row++) {
    a.storeVector(at(RAX), totals(row, 0));
    a.storeVector(at(RAX, 64), totals(row, 1));
    a.add(RAX, R15);
  }
  a.add(RDX, { imm: 1 });
  a.cmp(RDX, at(RDI, PRODUCT.groups));
  a.jump(groups, IF.less);
  a.add(R12, RBP);
  a.add(RSI, { imm: 1 });
  a.jump(tiles);
  a.place(end);
  a.leave();
  return a.finish();
}

/** A block's sums of products with codes of 8 bits, from −128 Σ c on; what comes later is brought near meanwhile. */
function addProducts(a: Assembler, rows: number): void {
  const [W0, W1] = CODES;
  for (let row = 0; row < rows; row++) {
    for (const half of [0, 1]) a.broadcast(sums(row, half), at(R11, row * RECORD_BYTES + START_AT));
  }
  const lines = prefetches(a, LAYOUTS[8].bytes, FOURS);
  for (let four = 0; four < FOURS; four++) {
    a.load(W0, at(R10, 128 * four));
    a.load(W1, at(R10, 128 * four + 64));
    lines(four);
    multiplyFour(a, rows, four, W0, W1);
  }
}

/** The same with codes of fewer bits, from 0 on. */
function addLowBitProducts(a: Assembler, rows: number, bits: 4 | 5): void {
  const [LOW0, LOW1, HIGH0, HIGH1] = CODES;
  for (let row = 0; row < rows; row++) {
    for (const half of [0, 1]) a.xor(sums(row, half), sums(row, half), sums(row, half));
  }
  const lines = prefetches(a, LAYOUTS[bits].bytes, FOURS / 2);
  for (let four = 0; four < FOURS / 2; four++) {
    for (const [half, low, high] of [
      [0, LOW0, HIGH0],
      [1, LOW1, HIGH1],
    ] as const) {
      a.load(low, at(R10, 128 * four + 64 * half));
      a.shiftRight(high, low, 4);
      a.and(low, low, LOW_BITS);
      a.and(high, high, LOW_BITS);
    }
    lines(four);
    if (bits === 5) {
      for (const [i, codes] of CODES.entries()) {
        a.loadMask(1, at(R10, LAYOUTS[5].fifths + 8 * (CODES.length * four + i)), 64);
        a.addBytes(codes, 1, codes, FIFTHS);
      }
    }
    multiplyFour(a, rows, four, LOW0, LOW1);
    multiplyFour(a, rows, four + FOURS / 2, HIGH0, HIGH1);
  }
}

function multiplyFour(a: Assembler, rows: number, four: number, first: number, second: number): void {
  for (let row = 0; row < rows; row++) {
    a.broadcast(X, at(R11, row * RECORD_BYTES + 4 * four));
    a.dotBytes(sums(row, 0), first, X);
    a.dotBytes(sums(row, 1), second, X);
  }
}

/** Code that brings a block of a tile near, in so many parts. */
function prefetches(a: Assembler, bytes: number, parts: number): (part: number) => void {
  const lines = bytes / 64;
  const first = (part: number): number => Math.floor((part * lines) / parts);
  return (part) => {
    for (let line = first(part); line < first(part + 1); line++) {
      a.prefetch(at(R10, PREFETCHED_BLOCKS * bytes + 64 * line));
    }
  };
}

/** A matrix (N, K) in blocks of columns: codes (N, K), scales and minima (N, K / 32), all row-major. */
export interface CodedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly bits: Bits;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  /** Null with 8 bits: −128 times the scales. */
  readonly minima: Float32Array | null;
}

/**
 * A matrix to tiles of 32 rows and, within, blocks of 32 columns. The last tile begins at row N − 32, within the one before
 * where N is no multiple of 32. @param into zeros
 */
export function packTiles(
  { rows, columns, bits, codes, scales, minima }: CodedMatrix,
  into: Float32Array,
): void {
  const blocks = columns / BLOCK;
  const layout = LAYOUTS[bits];
  const fours = new Uint32Array(codes.buffer, codes.byteOffset, codes.length / 4);
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
  const halves = new Uint16Array(into.buffer, into.byteOffset, 2 * into.length);
  const bytes = new Uint8Array(into.buffer, into.byteOffset, 4 * into.length);
  let place = 0;
  for (let tile = 0; tile < tilesOf(rows); tile++) {
    const first = Math.min(tile * TILE, rows - TILE);
    for (let block = 0; block < blocks; block++) {
      for (let r = 0; r < TILE; r++) {
        const of = (first + r) * blocks + block;
        if (bits === 8) {
          for (let four = 0; four < FOURS; four++) {
            words[place / 4 + TILE * four + r] = fours[of * FOURS + four]!;
          }
          into[(place + layout.scales) / 4 + r] = scales[of]!;
          continue;
        }
        for (let four = 0; four < FOURS / 2; four++) {
          const [low, high] = [fours[of * FOURS + four]!, fours[of * FOURS + four + FOURS / 2]!];
          words[place / 4 + TILE * four + r] = (low & 0x0f_0f_0f_0f) | ((high & 0x0f_0f_0f_0f) << 4);
          if (bits === 4) continue;
          // A bit for each byte of the four vectors: low and high codes, of 16 rows each.
          const at5 = place + layout.fifths + 8 * CODES.length * four + 8 * (r >> 4) + ((r & 15) >> 1);
          bytes[at5]! |= fifthBits(low) << (4 * (r & 1));
          bytes[at5 + 16]! |= fifthBits(high) << (4 * (r & 1));
        }
        halves[(place + layout.scales) / 2 + r] = nearestFloat16(scales[of]!);
        halves[(place + layout.minima) / 2 + r] = nearestFloat16(minima![of]!);
      }
      place += layout.bytes;
    }
  }
}

/** Of four codes, the first one's lowest. */
function fifthBits(codes: number): number {
  const bits = (codes >>> 4) & 0x01_01_01_01;
  return (bits | (bits >>> 7) | (bits >>> 14) | (bits >>> 21)) & 15;
}

export function tilesOf(rows: number): number {
  return Math.ceil(rows / TILE);
}
