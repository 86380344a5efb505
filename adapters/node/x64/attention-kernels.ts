import {
  at,
  createAssembler,
  FLUSHING,
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
  WHERE,
  type Assembler,
  type Memory,
} from "./assembler.ts";
import { powerOfTwo, spread, VECTOR_MATH } from "./vector-math.ts";

/*
 * Grouped-query attention with rotary positions over a cache in half precision, softmax(q kᵀ / √head) v, one pass over the
 * keys: with the largest score m so far, l = Σ e^(s − m) and o = Σ e^(s − m) v are corrected as m grows (Milakov &
 * Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135). The rows are the queries of the tokens read now by
 * the heads that share keys; up to six of them are computed together, over 64 keys at a time: so that a key's row is read
 * once for all of them.
 *
 * The cache of a layer is (sequences, kvHeads, capacity, head), values as that says. Keys lie in tiles of 16 tokens,
 * (head, 16) each, so that the products with 16 keys are sums of vectors, and a token's key is a column of its tile.
 */

/** Queries that are computed together at most. */
export const MOST_QUERIES = 6;
/** Keys that are computed together; a cache has room for a multiple. */
export const KEYS_AT_ONCE = 64;
/** Tokens whose keys lie together. */
export const TILE_KEYS = 16;
const TILES = KEYS_AT_ONCE / TILE_KEYS;

/** What one graph's layers share. */
export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  /** A multiple of 32. */
  readonly headSize: number;
  /** Pairs of a head that turn together: neighbours (2i, 2i + 1), or (i, i + head / 2). */
  readonly interleaved: boolean;
  /** Of the products of queries and keys. */
  readonly scale: number;
}

/** Where an attention's numbers lie behind its address, each in 64 bits. */
export const ATTENTION = {
  /** (sequences, tokens, …): queries, new keys and values in float32, and bytes from a token to the next. */
  queries: 0,
  newKeys: 8,
  newValues: 16,
  queryStride: 24,
  newKeyStride: 32,
  newValueStride: 40,
  /** Each sequence's tokens with the new ones, less one, 32 bits. */
  lastIndex: 48,
  /** Rotary tables (positions, head / 2). */
  cos: 56,
  sin: 64,
  positions: 72,
  keys: 80,
  values: 88,
  /** Of a head's part of the cache. */
  headBytes: 96,
  /** What is attended to, (sequences, tokens, heads · head). */
  output: 104,
  sequences: 112,
  tokens: 120,
  /** Tokens that a query sees, itself included. */
  window: 128,
  /** The tokens' queries by heads that share keys go in so many groups, of so many; the last may overlap the one before. */
  groups: 136,
  groupQueries: 144,
} as const;
export const ATTENTION_BYTES = 152;

const LOWEST = -1e30;
const LARGEST_HALF = 65_504;

/** Numbers that the code looks up, and where. */
const [ORDER_AT, TWICE_AT, SIGNS_AT, SCALARS_AT] = [0, 64, 128, 192];
const [FLUSHING_AT, LOWEST_AT, LARGEST_HALF_AT, SMALLEST_HALF_AT, SCALE_AT, MATH_AT] = [0, 1, 2, 3, 4, 5].map(
  (i) => SCALARS_AT + 4 * i,
) as [number, number, number, number, number, number];

/** For `appendCode` and `attendCode`. */
export function attentionConstants({ scale }: AttentionShape): Float32Array<ArrayBuffer> {
  const integers = [
    ...Array.from({ length: 16 }, (_, i) => i),
    ...Array.from({ length: 16 }, (_, i) => i >> 1),
  ];
  const floats = [
    ...Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? -1 : 1)),
    0,
    LOWEST,
    LARGEST_HALF,
    -LARGEST_HALF,
    scale * Math.LOG2E,
    ...VECTOR_MATH,
  ];
  const all = new Float32Array(integers.length + floats.length);
  new Int32Array(all.buffer).set(integers);
  all.set(floats, integers.length);
  new Int32Array(all.buffer)[FLUSHING_AT / 4] = FLUSHING;
  return all;
}

const LANES = 16;
const FLOAT = 4;
const HALF = 2;

/**
 * Turns a head at `from` to its position, whose angles are at `cos` and `sin`, to `to`; by `factor` where there is one.
 * Changes vectors 0 to 6.
 */
function rotate(
  a: Assembler,
  { headSize, interleaved }: AttentionShape,
  constants: number,
  { from, cos, sin, to }: Readonly<Record<"from" | "cos" | "sin", number> & { to: Memory }>,
  factor?: Memory,
): void {
  const [X, Y, COS, SIN, U, V, S] = [0, 1, 2, 3, 4, 5, 6] as const;
  const put = (register: number, offset: number): void => {
    if (factor !== undefined) a.multiply(register, register, factor);
    a.storeVector(at(to.base, to.offset + offset), register);
  };
  const bytes = LANES * FLOAT;
  if (interleaved) {
    const TWICE = V;
    a.load(TWICE, at(constants, TWICE_AT));
    a.load(S, at(constants, SIGNS_AT));
    for (let i = 0; i < headSize / LANES; i++) {
      for (const [register, table] of [
        [COS, cos],
        [SIN, sin],
      ] as const) {
        a.loadEightTwice(register, at(table, (i * bytes) / 2));
        a.permute(register, TWICE, register);
      }
      a.load(X, at(from, i * bytes));
      a.shuffleWithin(Y, X, 0xb1);
      a.multiply(SIN, SIN, S);
      a.multiply(U, X, COS);
      a.multiplyAdd(U, Y, SIN);
      put(U, i * bytes);
    }
    return;
  }
  const half = (headSize / 2) * FLOAT;
  for (let offset = 0; offset < half; offset += bytes) {
    a.load(X, at(from, offset));
    a.load(Y, at(from, half + offset));
    a.load(COS, at(cos, offset));
    a.load(SIN, at(sin, offset));
    a.multiply(U, X, COS);
    a.multiplySubtract(U, Y, SIN);
    a.multiply(V, Y, COS);
    a.multiplyAdd(V, X, SIN);
    put(U, offset);
    put(V, half + offset);
  }
}

/** `cos` and `sin`: where the angles of the position in rax lie. Changes rax. */
function angles(a: Assembler, { headSize }: AttentionShape, cos: number, sin: number): void {
  // A full sequence that is read along for nothing ends behind the table.
  a.mov(cos, at(RBX, ATTENTION.positions));
  a.sub(cos, { imm: 1 });
  a.cmp(RAX, cos);
  a.moveIf(IF.greater, RAX, cos);
  a.movAddress(cos, BigInt((headSize / 2) * FLOAT));
  a.mul(RAX, cos);
  a.mov(cos, at(RBX, ATTENTION.cos));
  a.add(cos, RAX);
  a.mov(sin, at(RBX, ATTENTION.sin));
  a.add(sin, RAX);
}

/** Code of f(attention): puts the new tokens' keys, turned to their positions, and values into the cache. */
export function appendCode(shape: AttentionShape, constants: bigint): Uint8Array {
  const { kvHeads, headSize } = shape;
  const a = createAssembler();
  const [LARGEST, SMALLEST] = [7, 8] as const;
  const [ROTATED, HALVES, TOKEN] = [0, headSize * FLOAT, headSize * (FLOAT + HALF)] as const;
  const frame = TOKEN + 24;
  const [sequences, tokens, heads, numbers] = [a.label(), a.label(), a.label(), a.label()];
  a.enter();
  a.sub(RSP, { imm: frame });
  a.mov(RBX, RDI);
  a.movAddress(RBP, constants);
  a.broadcast(LARGEST, at(RBP, LARGEST_HALF_AT));
  a.broadcast(SMALLEST, at(RBP, SMALLEST_HALF_AT));
  /** Halves of what is in a register, none infinite. */
  const halve = (register: number, to: Memory): void => {
    a.min(register, register, LARGEST);
    a.max(register, register, SMALLEST);
    a.storeHalves(to, register);
  };
  // R8, R9: keys and values of the token; R12: the sequence; R13: the token's position; R14: its head.
  a.mov(R8, at(RBX, ATTENTION.newKeys));
  a.mov(R9, at(RBX, ATTENTION.newValues));
  a.movAddress(R12, 0n);
  a.place(sequences);
  a.mov(RAX, R12);
  a.shl(RAX, 2);
  a.add(RAX, at(RBX, ATTENTION.lastIndex));
  a.movInt32(R13, at(RAX));
  a.add(R13, { imm: 1 });
  a.sub(R13, at(RBX, ATTENTION.tokens));
  a.mov(RAX, at(RBX, ATTENTION.tokens));
  a.store(at(RSP, TOKEN), RAX);
  a.place(tokens);
  a.store(at(RSP, TOKEN + 8), R8);
  a.store(at(RSP, TOKEN + 16), R9);
  a.mov(RAX, R13);
  angles(a, shape, R10, R11);
  a.movAddress(R14, 0n);
  a.place(heads);
  rotate(a, shape, RBP, { from: R8, cos: R10, sin: R11, to: at(RSP, ROTATED) });
  for (let i = 0; i < headSize; i += LANES) {
    a.load(0, at(RSP, ROTATED + i * FLOAT));
    halve(0, at(RSP, HALVES + i * HALF));
  }
  // RDI: where the head's part of the cache begins; RDX: the token's, in bytes.
  a.mov(RDI, R12);
  a.movAddress(RAX, BigInt(kvHeads));
  a.mul(RDI, RAX);
  a.add(RDI, R14);
  a.mul(RDI, at(RBX, ATTENTION.headBytes));
  a.movAddress(RCX, BigInt(headSize * HALF));
  a.mov(RDX, R13);
  a.mul(RDX, RCX);
  a.mov(RSI, RDI);
  a.add(RSI, RDX);
  a.add(RSI, at(RBX, ATTENTION.values));
  for (let i = 0; i < headSize; i += LANES) {
    a.load(0, at(R9, i * FLOAT));
    halve(0, at(RSI, i * HALF));
  }
  a.add(RDI, at(RBX, ATTENTION.keys));
  a.mov(RAX, R13);
  a.align(RAX, TILE_KEYS);
  a.mov(RDX, R13);
  a.sub(RDX, RAX);
  a.mul(RAX, RCX);
  a.add(RDI, RAX);
  a.shl(RDX, Math.log2(HALF));
  a.add(RDI, RDX);
  a.lea(RSI, at(RSP, HALVES));
  a.movAddress(RCX, BigInt(headSize));
  a.place(numbers);
  a.movWord(RAX, at(RSI));
  a.storeWord(at(RDI), RAX);
  a.add(RSI, { imm: HALF });
  a.add(RDI, { imm: TILE_KEYS * HALF });
  a.sub(RCX, { imm: 1 });
  a.jump(numbers, IF.notEqual);
  a.add(R8, { imm: headSize * FLOAT });
  a.add(R9, { imm: headSize * FLOAT });
  a.add(R14, { imm: 1 });
  a.cmp(R14, { imm: kvHeads });
  a.jump(heads, IF.less);
  a.mov(R8, at(RSP, TOKEN + 8));
  a.add(R8, at(RBX, ATTENTION.newKeyStride));
  a.mov(R9, at(RSP, TOKEN + 16));
  a.add(R9, at(RBX, ATTENTION.newValueStride));
  a.add(R13, { imm: 1 });
  a.mov(RAX, at(RSP, TOKEN));
  a.sub(RAX, { imm: 1 });
  a.store(at(RSP, TOKEN), RAX);
  a.jump(tokens, IF.notEqual);
  a.add(R12, { imm: 1 });
  a.cmp(R12, at(RBX, ATTENTION.sequences));
  a.jump(sequences, IF.less);
  a.add(RSP, { imm: frame });
  a.leave();
  return a.finish();
}

/** Vectors of a query's scores with 64 keys, or of a part of its output. */
const sums = (query: number, part: number): number => TILES * query + part;
const [SPARE, SPARE2, SPARE3, SPARE4] = [24, 25, 26, 27] as const;
const LOADED = 28;

/** Places on the stack of what `count` queries need. */
function frameOf(count: number, headSize: number) {
  let bytes = 0;
  const take = (size: number): number => {
    const place = bytes;
    bytes += count * size;
    return place;
  };
  const vector = LANES * FLOAT;
  return {
    queries: take(headSize * FLOAT),
    outputs: take(headSize * FLOAT),
    weights: take(KEYS_AT_ONCE * FLOAT),
    factor: take(vector),
    largest: take(vector),
    total: take(vector),
    last: take(8),
    first: take(8),
    target: take(8),
    // One number each, whatever the count.
    chunk: take(8),
    control: take(8),
    bytes,
  };
}

/**
 * Code of f(attention, i): `count` queries of group i % groups of the head and sequence i / groups attend to what they see,
 * their own tokens included, which must be in the cache.
 */
export function attendCode(shape: AttentionShape, constants: bigint, count: number): Uint8Array {
  const { headSize } = shape;
  const a = createAssembler();
  const frame = frameOf(count, headSize);
  const queries = Array.from({ length: count }, (_, query) => query);
  const stack = (part: Exclude<keyof typeof frame, "bytes">, query = 0, size = 64, offset = 0): Memory =>
    at(RSP, frame[part] + query * size + offset);
  const headBytes = headSize * FLOAT;
  a.enter();
  a.mov(RBP, RSP);
  a.sub(RSP, { imm: frame.bytes });
  a.align(RSP, 64);
  a.mov(RBX, RDI);
  // Keys that are not seen have weights so small that their products are no normal numbers.
  a.movAddress(RDX, constants);
  a.storeControl(stack("control"));
  a.loadControl(at(RDX, FLUSHING_AT));
  beginQueries(a, shape, constants, frame, count);

  // R12: the chunk's first key, R13: the one after the last; RSI and R8: keys and values of the chunk.
  a.mov(R12, stack("first", 0, 8));
  a.align(R12, KEYS_AT_ONCE);
  a.mov(R13, stack("last", count - 1, 8));
  a.add(R13, { imm: 1 });
  a.mov(RSI, R12);
  a.movAddress(RAX, BigInt(headSize * HALF));
  a.mul(RSI, RAX);
  a.mov(R8, RSI);
  a.add(RSI, R14);
  a.add(R8, R15);
  a.movAddress(RDX, constants);
  a.xor(SPARE, SPARE, SPARE);
  a.broadcast(SPARE2, at(RDX, LOWEST_AT));
  for (const query of queries) {
    a.storeVector(stack("largest", query), SPARE2);
    a.storeVector(stack("total", query), SPARE);
    for (let i = 0; i < headBytes; i += 64) a.storeVector(stack("outputs", query, headBytes, i), SPARE);
  }
  const [chunks, dimensions, allSeen, someHidden] = [a.label(), a.label(), a.label(), a.label()];
  a.place(chunks);

  // Scores: queries times keys, dimension by dimension; meanwhile the values come near.
  for (const query of queries) {
    for (let tile = 0; tile < TILES; tile++) a.xor(sums(query, tile), sums(query, tile), sums(query, tile));
  }
  const unrolled = 4;
  const ahead = (headSize * KEYS_AT_ONCE * HALF) / headSize;
  a.lea(RAX, stack("queries"));
  a.mov(R9, RSI);
  a.mov(R10, R8);
  a.movAddress(RCX, BigInt(headSize / unrolled));
  a.place(dimensions);
  for (let i = 0; i < unrolled; i++) {
    for (let tile = 0; tile < TILES; tile++) {
      a.loadHalves(LOADED + tile, at(R9, (tile * headSize + i) * TILE_KEYS * HALF));
    }
    for (let line = 0; line < ahead; line += 64) a.prefetch(at(R10, i * ahead + line));
    for (const query of queries) {
      a.broadcast(SPARE, at(RAX, query * headBytes + i * FLOAT));
      for (let tile = 0; tile < TILES; tile++) a.multiplyAdd(sums(query, tile), LOADED + tile, SPARE);
    }
  }
  a.add(RAX, { imm: unrolled * FLOAT });
  a.add(R9, { imm: unrolled * TILE_KEYS * HALF });
  a.add(R10, { imm: unrolled * ahead });
  a.sub(RCX, { imm: 1 });
  a.jump(dimensions, IF.notEqual);

  // Where not all see all keys.
  a.cmp(R12, stack("first", count - 1, 8));
  a.jump(someHidden, IF.less);
  a.lea(RAX, at(R12, KEYS_AT_ONCE - 1));
  a.cmp(RAX, stack("last", 0, 8));
  a.jump(allSeen, IF.atMost);
  a.place(someHidden);
  a.store(stack("chunk"), R12);
  a.load(LOADED, at(RDX, ORDER_AT));
  a.addIntegers(LOADED, LOADED, forAll(RSP, frame.chunk));
  a.broadcast(SPARE, at(RDX, LOWEST_AT));
  a.movAddress(RAX, BigInt(TILE_KEYS));
  a.store(stack("chunk"), RAX);
  for (let tile = 1; tile < TILES; tile++) {
    a.addIntegers(LOADED + tile, LOADED + tile - 1, forAll(RSP, frame.chunk));
  }
  for (const query of queries) {
    for (let tile = 0; tile < TILES; tile++) {
      a.compareIntegers(1, WHERE.atMost, LOADED + tile, forAll(RSP, frame.last + 8 * query));
      a.compareIntegers(1, WHERE.atLeast, LOADED + tile, forAll(RSP, frame.first + 8 * query), 1);
      a.blend(sums(query, tile), 1, SPARE, sums(query, tile));
    }
  }
  a.place(allSeen);

  for (const query of queries) {
    const scores = Array.from({ length: TILES }, (_, tile) => sums(query, tile));
    const [s0, s1, s2, s3] = scores as [number, number, number, number];
    const [MOST, BEFORE] = [SPARE, SPARE3] as const;
    a.max(MOST, s0, s1);
    a.max(SPARE2, s2, s3);
    a.max(MOST, MOST, SPARE2);
    spread(a, a.max, MOST, SPARE2);
    a.load(BEFORE, stack("largest", query));
    a.max(MOST, MOST, BEFORE);
    a.storeVector(stack("largest", query), MOST);
    for (const register of [...scores, BEFORE]) {
      a.subtractFloats(register, register, MOST);
      powerOfTwo(a, { base: RDX, offset: MATH_AT }, register, [SPARE2, SPARE4]);
    }
    a.storeVector(stack("factor", query), BEFORE);
    for (const [tile, register] of scores.entries()) {
      a.storeVector(stack("weights", query, KEYS_AT_ONCE * FLOAT, tile * 64), register);
    }
    a.multiply(BEFORE, BEFORE, stack("total", query));
    a.addFloats(s0, s0, s1);
    a.addFloats(s2, s2, s3);
    a.addFloats(BEFORE, BEFORE, s0);
    a.addFloats(BEFORE, BEFORE, s2);
    a.storeVector(stack("total", query), BEFORE);
  }

  // Outputs: weights times values, key by key; meanwhile the next keys come near.
  a.mov(R11, R13);
  a.sub(R11, R12);
  a.movAddress(RAX, BigInt(KEYS_AT_ONCE));
  a.cmp(R11, RAX);
  a.moveIf(IF.greater, R11, RAX);
  a.lea(R10, at(RSI, headSize * KEYS_AT_ONCE * HALF));
  const parts = headSize / LANES;
  for (let first = 0; first < parts; first += TILES) {
    const width = Math.min(TILES, parts - first);
    const keys = a.label();
    const output = (query: number, part: number): Memory =>
      stack("outputs", query, headBytes, (first + part) * 64);
    for (const query of queries) {
      a.load(SPARE, stack("factor", query));
      for (let part = 0; part < width; part++) a.multiply(sums(query, part), SPARE, output(query, part));
    }
    a.lea(RAX, stack("weights"));
    a.lea(R9, at(R8, first * LANES * HALF));
    a.mov(RCX, R11);
    a.place(keys);
    for (let part = 0; part < width; part++) a.loadHalves(LOADED + part, at(R9, part * LANES * HALF));
    for (let line = 0; line < width * LANES * HALF; line += 64) a.prefetch(at(R10, line));
    for (const query of queries) {
      a.broadcast(SPARE, at(RAX, query * KEYS_AT_ONCE * FLOAT));
      for (let part = 0; part < width; part++) a.multiplyAdd(sums(query, part), LOADED + part, SPARE);
    }
    a.add(RAX, { imm: FLOAT });
    a.add(R9, { imm: headSize * HALF });
    a.add(R10, { imm: width * LANES * HALF });
    a.sub(RCX, { imm: 1 });
    a.jump(keys, IF.notEqual);
    for (const query of queries) {
      for (let part = 0; part < width; part++) a.storeVector(output(query, part), sums(query, part));
    }
  }
  a.add(RSI, { imm: headSize * KEYS_AT_ONCE * HALF });
  a.add(R8, { imm: headSize * KEYS_AT_ONCE * HALF });
  a.add(R12, { imm: KEYS_AT_ONCE });
  a.cmp(R12, R13);
  a.jump(chunks, IF.less);

  for (const query of queries) {
    a.load(SPARE, stack("total", query));
    spread(a, a.addFloats, SPARE, SPARE2);
    a.mov(RAX, stack("target", query, 8));
    for (let i = 0; i < headBytes; i += 64) {
      a.load(SPARE2, stack("outputs", query, headBytes, i));
      a.divide(SPARE2, SPARE2, SPARE);
      a.storeVector(at(RAX, i), SPARE2);
    }
  }
  a.loadControl(stack("control"));
  a.mov(RSP, RBP);
  a.leave();
  return a.finish();
}

/**
 * Of the attention at rbx and the part in rsi: turns its queries to their positions and scales them, notes which keys each
 * sees and where its output goes. R14 and R15: keys and values of its head.
 */
function beginQueries(
  a: Assembler,
  shape: AttentionShape,
  constants: bigint,
  frame: ReturnType<typeof frameOf>,
  count: number,
): void {
  const { heads, kvHeads, headSize } = shape;
  const sharing = heads / kvHeads;
  const [headBytes, outputStride] = [headSize * FLOAT, heads * headSize * FLOAT];
  const [tokens, sameToken, begun] = [a.label(), a.label(), a.label()];
  // R8: sequence, R9: head of keys; R10: token, R11: which of the heads that share these keys, of the first query.
  a.mov(RAX, RSI);
  a.divideRax(at(RBX, ATTENTION.groups));
  a.mov(RSI, RDX);
  a.mov(R14, RAX);
  a.mul(R14, at(RBX, ATTENTION.headBytes));
  a.mov(R15, R14);
  a.add(R14, at(RBX, ATTENTION.keys));
  a.add(R15, at(RBX, ATTENTION.values));
  a.movAddress(RCX, BigInt(kvHeads));
  a.divideRax(RCX);
  a.mov(R8, RAX);
  a.mov(R9, RDX);
  a.mov(RAX, at(RBX, ATTENTION.tokens));
  a.movAddress(RCX, BigInt(sharing));
  a.mul(RAX, RCX);
  a.sub(RAX, { imm: count });
  a.movAddress(RDX, BigInt(count));
  a.mul(RSI, RDX);
  a.cmp(RAX, RSI);
  a.moveIf(IF.greater, RAX, RSI);
  a.divideRax(RCX);
  a.mov(R10, RAX);
  a.mov(R11, RDX);
  // R12: position; then R8: the token among all sequences', R9: the first head of queries.
  a.mov(RAX, R8);
  a.shl(RAX, 2);
  a.add(RAX, at(RBX, ATTENTION.lastIndex));
  a.movInt32(R12, at(RAX));
  a.add(R12, { imm: 1 });
  a.sub(R12, at(RBX, ATTENTION.tokens));
  a.add(R12, R10);
  a.mul(R8, at(RBX, ATTENTION.tokens));
  a.add(R8, R10);
  a.mul(R9, RCX);
  // R13: the query's number.
  a.movAddress(RDX, constants);
  a.movAddress(R13, 0n);
  a.place(tokens);
  a.mov(RAX, R12);
  angles(a, shape, RDI, R10);
  a.place(sameToken);
  a.mov(RAX, R9);
  a.add(RAX, R11);
  a.movAddress(RCX, BigInt(headBytes));
  a.mul(RAX, RCX);
  a.mul(RCX, R13);
  a.add(RCX, RSP);
  a.mov(RSI, R8);
  a.mul(RSI, at(RBX, ATTENTION.queryStride));
  a.add(RSI, RAX);
  a.add(RSI, at(RBX, ATTENTION.queries));
  rotate(a, shape, RDX, { from: RSI, cos: RDI, sin: R10, to: at(RCX, frame.queries) }, forAll(RDX, SCALE_AT));
  a.movAddress(RCX, BigInt(outputStride));
  a.mul(RCX, R8);
  a.add(RAX, RCX);
  a.add(RAX, at(RBX, ATTENTION.output));
  a.mov(RCX, R13);
  a.shl(RCX, 3);
  a.add(RCX, RSP);
  a.store(at(RCX, frame.target), RAX);
  a.store(at(RCX, frame.last), R12);
  a.lea(RAX, at(R12, 1));
  a.sub(RAX, at(RBX, ATTENTION.window));
  a.movAddress(RSI, 0n);
  a.cmp(RAX, RSI);
  a.moveIf(IF.less, RAX, RSI);
  a.store(at(RCX, frame.first), RAX);
  a.add(R13, { imm: 1 });
  a.cmp(R13, { imm: count });
  a.jump(begun, IF.atLeast);
  a.add(R11, { imm: 1 });
  a.cmp(R11, { imm: sharing });
  a.jump(sameToken, IF.less);
  a.movAddress(R11, 0n);
  a.add(R12, { imm: 1 });
  a.add(R8, { imm: 1 });
  a.jump(tokens);
  a.place(begun);
}
