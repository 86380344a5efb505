import {
  at,
  createAssembler,
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

/*
 * y = x Wᵀ of rows x in float32 and a matrix W in 8-bit blocks of 32, both sides in whole numbers:
 *   y_n = Σ_b s_nb · t_b · Σ_{i in b} w_ni · x_i, with w ≈ s · (code − 128) and x ≈ t · code in blocks b.
 * A block of a tile's 32 outputs is computed by `vpdpbusd`, four products of unsigned by signed bytes in each of 16 numbers, for up
 * to six rows at once. The codes of W go in unsigned, so a block's sum begins with −128 Σ x.
 */

/** Weights and activations of a block share a scale. */
export const BLOCK = 32;
/** Outputs that are computed together. */
export const TILE = 32;
/** Bytes of a block of a tile: its codes, by fours of the columns, then its scales. */
export const TILE_BLOCK_BYTES = TILE * BLOCK + 4 * TILE;
/** Rows that are computed together at most. */
export const MOST_ROWS = 6;
/** Rows that are quantised before they are multiplied. */
export const PANEL_ROWS = 256;
/** A row's block of activations: 32 codes, their scale, and −128 times their sum. */
export const RECORD_BYTES = BLOCK + 8;
const SCALE_AT = BLOCK;
const START_AT = BLOCK + 4;

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

export const CONSTANTS = Float32Array.of(0, 1e-30, 127, 1 / 127);
new Uint32Array(CONSTANTS.buffer)[0] = 0x7f_ff_ff_ff;

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
  reduce(a, a.max);
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
  reduce(a, a.addIntegers);
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

/** Vector 2's sixteen numbers by an operation into each of its numbers. Changes 3. */
function reduce(a: Assembler, operation: (target: number, x: number, y: number) => void): void {
  for (const shuffle of [a.shuffleQuarters, a.shuffleWithin]) {
    for (const order of [0x4e, 0xb1]) {
      shuffle(3, 2, order);
      operation(2, 2, 3);
    }
  }
}

/** Vectors of a row: a block's sums in whole numbers, and the row's so far, of either half of a tile. */
const sums = (row: number, half: number): number => 2 * row + half;
const totals = (row: number, half: number): number => 2 * (MOST_ROWS + row) + half;

/** Code of f(product, i): multiplies the panel in groups of `rows` with tiles i · tilesAtOnce and on. */
export function multiplyCode(rows: number): Uint8Array {
  const a = createAssembler();
  const [W0, W1, X] = [24, 25, 26] as const;
  const [S0, S1, T] = [W0, W1, X];
  a.enter();
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
  for (let row = 0; row < rows; row++) {
    for (const half of [0, 1]) a.broadcast(sums(row, half), at(R11, row * RECORD_BYTES + START_AT));
  }
  for (let four = 0; four < BLOCK / 4; four++) {
    a.load(W0, at(R10, 128 * four));
    a.load(W1, at(R10, 128 * four + 64));
    for (const half of [0, 64]) {
      a.prefetch(at(R10, PREFETCHED_BLOCKS * TILE_BLOCK_BYTES + 128 * four + half));
    }
    for (let row = 0; row < rows; row++) {
      a.broadcast(X, at(R11, row * RECORD_BYTES + 4 * four));
      a.dotBytes(sums(row, 0), W0, X);
      a.dotBytes(sums(row, 1), W1, X);
    }
  }
  a.load(S0, at(R10, TILE * BLOCK));
  a.load(S1, at(R10, TILE * BLOCK + 64));
  for (const half of [0, 64]) {
    a.prefetch(at(R10, PREFETCHED_BLOCKS * TILE_BLOCK_BYTES + TILE * BLOCK + half));
  }
  for (let row = 0; row < rows; row++) {
    a.broadcast(T, at(R11, row * RECORD_BYTES + SCALE_AT));
    for (const [half, scale] of [S0, S1].entries()) {
      a.toFloats(sums(row, half), sums(row, half));
      a.multiply(sums(row, half), sums(row, half), T);
      a.multiplyAdd(totals(row, half), sums(row, half), scale);
    }
  }
  a.add(R10, { imm: TILE_BLOCK_BYTES });
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

/**
 * Codes (N, K) and scales (N, K / 32) of a matrix, row-major, to tiles: for each 32 rows and each block of 32 columns
 * (8, 32, 4) codes and 32 scales. The last tile begins at row N − 32, within the one before where N is no multiple of 32.
 */
export function packTiles(
  codes: Uint8Array,
  scales: Float32Array,
  rows: number,
  columns: number,
  into: Float32Array,
): void {
  const blocks = columns / BLOCK;
  const target = new Uint32Array(into.buffer, into.byteOffset, into.length);
  const fours = new Uint32Array(codes.buffer, codes.byteOffset, codes.length / 4);
  let place = 0;
  for (let tile = 0; tile < tilesOf(rows); tile++) {
    const first = Math.min(tile * TILE, rows - TILE);
    for (let block = 0; block < blocks; block++) {
      for (let four = 0; four < BLOCK / 4; four++) {
        const column = (block * BLOCK) / 4 + four;
        for (let row = first; row < first + TILE; row++)
          target[place++] = fours[(row * columns) / 4 + column]!;
      }
      for (let row = first; row < first + TILE; row++) into[place++] = scales[row * blocks + block]!;
    }
  }
}

export function tilesOf(rows: number): number {
  return Math.ceil(rows / TILE);
}
