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
  RSP,
  type Assembler,
} from "./assembler.ts";
import { BLOCK, FOURS, LAYOUTS, PRODUCT, RECORD, RECORD_BYTES, TILE, type Bits } from "./product-layout.ts";
import { spread } from "./vector-math.ts";

/*
 * The products of product-layout.ts. A block of a tile's 32 outputs is computed by `vpdpbusd`, four products of unsigned
 * by signed bytes in each of 16 numbers, for up to six rows at once; or, for more rows and where the processor has AMX, by
 * `tdpbsud`, the same for up to twelve rows and 16 outputs in one instruction, whose numbers go through memory to vectors.
 */

/** Rows that are computed together: at most, and at most and at least where there are tiles. */
export const ROWS = { vectors: 6, tiles: 12, leastOfTiles: 7 } as const;

/** For `quantizeCode` and `multiplyCode`. */
export function productConstants(): Float32Array<ArrayBuffer> {
  const all = new Float32Array((CONFIGURATIONS_AT + (ROWS.tiles + 1) * CONFIGURATION_BYTES) / 4);
  const bytes = new Uint8Array(all.buffer);
  all.set([0, 1e-30, 127, 1 / 127, 0, 0, -128]);
  new Uint32Array(all.buffer).set([0x7f_ff_ff_ff]);
  new Uint32Array(all.buffer).set([0x0f_0f_0f_0f, 0x10_10_10_10], LOW_BITS_AT / 4);
  for (let rows = 1; rows <= ROWS.tiles; rows++) {
    const place = CONFIGURATIONS_AT + rows * CONFIGURATION_BYTES;
    // Palette 1; then of each tile the bytes of a row, 16 bits, and rows: Intel's manual, volume 1, section 18.2.
    bytes[place] = 1;
    const configure = (tile: number, width: number, height: number): void => {
      bytes[place + 16 + 2 * tile] = width;
      bytes[place + 48 + tile] = height;
    };
    for (const half of [0, 1] as const) {
      configure(TILES.sums[half], 64, rows);
      configure(TILES.weights[half], 64, FOURS);
    }
    configure(TILES.activations, BLOCK, rows);
  }
  return all;
}
const [LOW_BITS_AT, FIFTHS_AT, ZERO_POINT_AT, CONFIGURATIONS_AT] = [16, 20, 24, 64] as const;
const CONFIGURATION_BYTES = 64;
/** Tile registers: of either half of 32 outputs, and of the rows. */
const TILES = { sums: [0, 1], weights: [2, 3], activations: 4 } as const;

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
  a.storeLowest(at(R11, RECORD.scale), 4);
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
  a.storeLowest(at(R11, RECORD.mass), 6);
  a.shiftLeft(2, 2, 7);
  a.subtractIntegers(2, ZERO, 2);
  a.storeLowest(at(R11, RECORD.start), 2);
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

/** Vectors of four columns' codes, of either half of a tile; of few bits also those that share their bytes. */
const CODES = [24, 25, 26, 27] as const;
const [X, LOW_BITS, FIFTHS] = [28, 29, 30] as const;

/** How a group of rows is multiplied with a tile. */
interface Way {
  /** Before the first tile, with the constants in rax; and after the last. */
  begin(): void;
  end(): void;
  /** Before the groups of a tile, whose weights are at r12. */
  beginTile(): void;
  beginGroup(): void;
  /** Adds a block: weights at r10, records at r11. */
  addBlock(): void;
  /** The vector of a row's sums. */
  totals(row: number, half: number): number;
}

/** Code of f(product, i): multiplies the panel in groups of `rows` with tiles i · tilesAtOnce and on. */
export function multiplyCode(rows: number, bits: Bits, constants: bigint): Uint8Array {
  const a = createAssembler();
  const way = rows <= ROWS.vectors ? byVectors(a, rows, bits) : byTiles(a, rows, bits, constants);
  a.enter();
  a.movAddress(RAX, constants);
  way.begin();
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
  way.beginTile();
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
    for (const half of [0, 1]) a.xor(way.totals(row, half), way.totals(row, half), way.totals(row, half));
  }
  way.beginGroup();
  a.place(blocks);
  way.addBlock();
  a.add(R10, { imm: LAYOUTS[bits].bytes });
  a.add(R11, { imm: rows * RECORD_BYTES });
  a.sub(RCX, { imm: 1 });
  a.jump(blocks, IF.notEqual);
  firstRow(a);
  a.mul(RAX, R15);
  a.add(RAX, R13);
  a.add(RAX, at(RDI, PRODUCT.y));
  for (let row = 0; row < rows; row++) {
    a.storeVector(at(RAX), way.totals(row, 0));
    a.storeVector(at(RAX, 64), way.totals(row, 1));
    a.add(RAX, R15);
  }
  a.add(RDX, { imm: 1 });
  a.cmp(RDX, at(RDI, PRODUCT.groups));
  a.jump(groups, IF.less);
  a.add(R12, RBP);
  a.add(RSI, { imm: 1 });
  a.jump(tiles);
  a.place(end);
  way.end();
  a.leave();
  return a.finish();
}

/** Vectors of a row's two halves of a tile, behind those of so many rows. */
function halves(before: number): (row: number, half: number) => number {
  return (row, half) => 2 * (before + row) + half;
}

function byVectors(a: Assembler, rows: number, bits: Bits): Way {
  // A block's sums in whole numbers, and the row's so far.
  const [sums, totals] = [halves(0), halves(ROWS.vectors)];
  const multiplyFour = (four: number, first: number, second: number): void => {
    for (let row = 0; row < rows; row++) {
      a.broadcast(X, at(R11, row * RECORD_BYTES + RECORD.codes + 4 * four));
      a.dotBytes(sums(row, 0), first, X);
      a.dotBytes(sums(row, 1), second, X);
    }
  };
  return {
    begin() {
      a.broadcast(LOW_BITS, at(RAX, LOW_BITS_AT));
      a.broadcast(FIFTHS, at(RAX, FIFTHS_AT));
    },
    end: () => undefined,
    beginTile: () => undefined,
    beginGroup: () => undefined,
    addBlock() {
      for (let row = 0; row < rows; row++) {
        for (const half of [0, 1]) {
          // Codes of 8 bits are about 128.
          if (bits === 8) a.broadcast(sums(row, half), at(R11, row * RECORD_BYTES + RECORD.start));
          else a.xor(sums(row, half), sums(row, half), sums(row, half));
        }
      }
      eachFour(a, bits, (vectors, four) => multiplyFour(four, vectors[0], vectors[1]));
      loadScales(a, bits);
      const [S0, S1, M0, M1] = CODES;
      for (let row = 0; row < rows; row++) {
        const record = row * RECORD_BYTES;
        for (const [half, scale, minimum] of [
          [0, S0, M0],
          [1, S1, M1],
        ] as const) {
          a.toFloats(sums(row, half), sums(row, half));
          a.multiply(sums(row, half), sums(row, half), forAll(R11, record + RECORD.scale));
          a.multiplyAdd(totals(row, half), sums(row, half), scale);
          if (bits !== 8) a.multiplyAdd(totals(row, half), minimum, forAll(R11, record + RECORD.mass));
        }
      }
    },
    totals,
  };
}

/** Bytes of a tile's sums; two of these, then with few bits its codes in 8, are on the stack. */
const SUMS_BYTES = 64 * 16;
const UNPACKED_AT = 2 * SUMS_BYTES;
const UNPACKED_BYTES = TILE * BLOCK;

function byTiles(a: Assembler, rows: number, bits: Bits, constants: bigint): Way {
  const totals = halves(0);
  const SPARE = 31;
  const ZERO_POINT = LOW_BITS;
  return {
    // RBX: the stack as it was. Codes of few bits are unpacked once for all groups, with r8 at a block's.
    begin() {
      a.mov(RBX, RSP);
      if (bits !== 8) {
        a.mov(R8, at(RDI, PRODUCT.blocks));
        a.shl(R8, Math.log2(UNPACKED_BYTES));
        a.sub(RSP, R8);
      }
      a.sub(RSP, { imm: UNPACKED_AT });
      a.align(RSP, 64);
      a.configureTiles(at(RAX, CONFIGURATIONS_AT + rows * CONFIGURATION_BYTES));
    },
    end() {
      a.releaseTiles();
      a.mov(RSP, RBX);
    },
    beginTile() {
      a.movAddress(RAX, constants);
      if (bits === 8) {
        a.broadcast(ZERO_POINT, at(RAX, ZERO_POINT_AT));
        return;
      }
      a.broadcast(LOW_BITS, at(RAX, LOW_BITS_AT));
      a.broadcast(FIFTHS, at(RAX, FIFTHS_AT));
      const blocks = a.label();
      a.mov(R10, R12);
      a.lea(R8, at(RSP, UNPACKED_AT));
      a.mov(RCX, at(RDI, PRODUCT.blocks));
      a.place(blocks);
      eachFour(a, bits, (vectors, four) => {
        for (const [half, vector] of vectors.entries()) a.storeVector(at(R8, 128 * four + 64 * half), vector);
      });
      a.add(R10, { imm: LAYOUTS[bits].bytes });
      a.add(R8, { imm: UNPACKED_BYTES });
      a.sub(RCX, { imm: 1 });
      a.jump(blocks, IF.notEqual);
    },
    beginGroup() {
      if (bits !== 8) a.lea(R8, at(RSP, UNPACKED_AT));
    },
    addBlock() {
      const { sums, activations, weights } = TILES;
      a.movAddress(RAX, BigInt(RECORD_BYTES));
      a.loadTile(activations, at(R11, RECORD.codes), RAX);
      a.movAddress(RAX, BigInt(4 * TILE));
      for (const half of [0, 1] as const) {
        a.zeroTile(sums[half]);
        a.loadTile(weights[half], at(bits === 8 ? R10 : R8, 64 * half), RAX);
        a.dotTiles(sums[half], activations, weights[half]);
      }
      a.movAddress(RAX, 64n);
      for (const half of [0, 1] as const) a.storeTile(at(RSP, half * SUMS_BYTES), RAX, sums[half]);
      if (bits === 8) {
        for (let line = 0; line < LAYOUTS[8].bytes; line += 64) {
          a.prefetch(at(R10, PREFETCHED_BLOCKS * LAYOUTS[8].bytes + line));
        }
      }
      loadScales(a, bits);
      const [S0, S1, M0, M1] = CODES;
      if (bits === 8) {
        a.multiply(M0, S0, ZERO_POINT);
        a.multiply(M1, S1, ZERO_POINT);
      }
      for (let row = 0; row < rows; row++) {
        const record = row * RECORD_BYTES;
        a.broadcast(FIFTHS, at(R11, record + RECORD.scale));
        for (const [half, scale, minimum, sum] of [
          [0, S0, M0, X],
          [1, S1, M1, SPARE],
        ] as const) {
          a.toFloats(sum, at(RSP, half * SUMS_BYTES + 64 * row));
          a.multiply(sum, sum, FIFTHS);
          a.multiplyAdd(totals(row, half), sum, scale);
          a.multiplyAdd(totals(row, half), minimum, forAll(R11, record + RECORD.mass));
        }
      }
      if (bits !== 8) a.add(R8, { imm: UNPACKED_BYTES });
    },
    totals,
  };
}

/** A block's codes in 8 bits, by fours of the columns: vectors of either half of a tile. What comes later is brought near. */
function eachFour(
  a: Assembler,
  bits: Bits,
  visit: (vectors: readonly [number, number], four: number) => void,
): void {
  const [LOW0, LOW1, HIGH0, HIGH1] = CODES;
  const parts = bits === 8 ? FOURS : FOURS / 2;
  const lines = prefetches(a, LAYOUTS[bits].bytes, parts);
  for (let four = 0; four < parts; four++) {
    a.load(LOW0, at(R10, 128 * four));
    a.load(LOW1, at(R10, 128 * four + 64));
    lines(four);
    if (bits === 8) {
      visit([LOW0, LOW1], four);
      continue;
    }
    for (const [low, high] of [
      [LOW0, HIGH0],
      [LOW1, HIGH1],
    ] as const) {
      a.shiftRight(high, low, 4);
      a.and(low, low, LOW_BITS);
      a.and(high, high, LOW_BITS);
    }
    if (bits === 5) {
      for (const [i, codes] of CODES.entries()) {
        a.loadMask(1, at(R10, LAYOUTS[5].fifths + 8 * (CODES.length * four + i)), 64);
        a.addBytes(codes, 1, codes, FIFTHS);
      }
    }
    visit([LOW0, LOW1], four);
    visit([HIGH0, HIGH1], four + parts);
  }
}

/** Scales and, of few bits, minima of a block, in CODES. */
function loadScales(a: Assembler, bits: Bits): void {
  const { scales, minima } = LAYOUTS[bits];
  const [S0, S1, M0, M1] = CODES;
  if (bits === 8) {
    a.load(S0, at(R10, scales));
    a.load(S1, at(R10, scales + 64));
    return;
  }
  for (const [vector, offset] of [
    [S0, scales],
    [S1, scales + 32],
    [M0, minima],
    [M1, minima + 32],
  ] as const) {
    a.loadHalves(vector, at(R10, offset));
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
