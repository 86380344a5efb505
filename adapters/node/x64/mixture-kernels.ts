import { MIXTURE_LIMITS } from "../../../src/weights/fusion-graph.ts";
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
  R15,
  R8,
  R9,
  RAX,
  RBP,
  RBX,
  RCX,
  RDI,
  RSI,
  RSP,
  WHERE,
  type Assembler,
  type Memory,
} from "./assembler.ts";
import { logarithm, powerOfTwo, spread, VECTOR_MATH } from "./vector-math.ts";

/*
 * The members' distributions at a position to the answer's, and how far they agree: what predictor.ts and gate.ts say of it,
 * in two passes over the tokens v with p_m = e^x_m, x_m being member m's log-probabilities:
 *   H_m = −Σ p_m x_m, J = −Σ p̄ ln p̄ − mean H_m with p̄ = mean p_m, and the pool's numbers g = e^(Σ w_m x_m − largest);
 *   π from J and the H_m by the gate, and p = Σ π_m p_m + π_pool g (1 − mass of the special tokens) / Σ g.
 * Of a special token the pool says what the anchor says.
 */

/** Their numbers stay in registers. */
const MOST_MEMBERS = MIXTURE_LIMITS.members;
/** A vector's. */
const TOKENS_AT_ONCE = MIXTURE_LIMITS.tokens;

export interface MixtureShape {
  /** w_m. */
  readonly weights: readonly number[];
  /** V, see `MIXTURE_LIMITS`. */
  readonly vocabularySize: number;
}

/** Where a mixture's numbers lie behind its address, each in 64 bits. */
export const MIXTURE = {
  /** Of each member, log-probabilities (p, V). */
  words: 0,
  /** (p, 4, m + 1). */
  gate: 8 * MOST_MEMBERS,
  /** The answer's log-probabilities (p, V). */
  logprobs: 8 * MOST_MEMBERS + 8,
  /** (p). */
  divergence: 8 * MOST_MEMBERS + 16,
  /** (p, m + 1). */
  entropies: 8 * MOST_MEMBERS + 24,
  shares: 8 * MOST_MEMBERS + 32,
  /** (p, m + 1), 64 bits. */
  tops: 8 * MOST_MEMBERS + 40,
} as const;
export const MIXTURE_BYTES = MIXTURE.tops + 8;

const GATE_CORNERS = 4;
/** Below every log-probability that counts: keeps 0 · ln 0 at 0. */
const FLOOR = -1e4;
/** About the least normal float32. */
const TINY = 1.2e-38;
/** No logit is lower. */
const NEVER = -1e30;
const FLOAT = 4;
const VECTOR = FLOAT * TOKENS_AT_ONCE;

const [ORDER_AT, SCALARS_AT] = [0, VECTOR];
const NAMES = [
  "floor",
  "tiny",
  "never",
  "log2e",
  "half",
  "one",
  "zero",
  "sixteen",
  "last",
  "flushing",
] as const;
const scalarAt = (name: (typeof NAMES)[number]): number => SCALARS_AT + FLOAT * NAMES.indexOf(name);
const FITTED_AT = SCALARS_AT + FLOAT * NAMES.length;
/** What depends on the number of members: 1 / m, 1 / (m − 1), ln m, 1 / ln m; then the weights. */
const [SHARE_AT, OTHERS_AT, MOST_AT, PER_MOST_AT] = [0, 4, 8, 12].map((offset) => FITTED_AT + offset) as [
  number,
  number,
  number,
  number,
];
const weightAt = (member: number): number => PER_MOST_AT + FLOAT * (member + 1);
const MATH_AT = weightAt(MOST_MEMBERS);

/** For `mixtureCode`; behind them a bit for each token, which the special ones have. */
export function mixtureConstants(shape: MixtureShape, special: readonly number[]): Float32Array<ArrayBuffer> {
  const { weights, vocabularySize } = shape;
  const count = weights.length;
  const masksAt = maskAt();
  const all = new Float32Array(masksAt / FLOAT + Math.ceil(vocabularySize / 32));
  const integers = new Int32Array(all.buffer);
  for (let i = 0; i < TOKENS_AT_ONCE; i++) integers[ORDER_AT / FLOAT + i] = i;
  all.set([FLOOR, TINY, NEVER, Math.LOG2E, 0.5, 1, 0], SCALARS_AT / FLOAT);
  integers[scalarAt("sixteen") / FLOAT] = TOKENS_AT_ONCE;
  integers[scalarAt("last") / FLOAT] = 2 ** 31 - 1;
  integers[scalarAt("flushing") / FLOAT] = FLUSHING;
  const most = Math.log(count);
  all.set([1 / count, 1 / (count - 1), most, 1 / most, ...weights], FITTED_AT / FLOAT);
  all.set(VECTOR_MATH, MATH_AT / FLOAT);
  for (const token of special) integers[masksAt / FLOAT + (token >> 5)]! |= 1 << (token & 31);
  return all;
}

function maskAt(): number {
  return MATH_AT + FLOAT * VECTOR_MATH.length;
}

/** Registers of both passes; those of the members follow. */
const [X, P, SUM, POOL, T0, T1, T2, T3, ORDER] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const;
const [DIVERGENCE, LARGEST, SPECIAL, MASS] = [9, 10, 11, 12] as const;
const entropyOf = (member: number): number => 13 + member;
const bestOf = (member: number): number => 13 + MOST_MEMBERS + 1 + member;
const placeOf = (member: number): number => 13 + 2 * (MOST_MEMBERS + 1) + member;
/** In the second pass, of what the first one is done with. */
const shareOf = (expert: number): number => bestOf(expert);
const WORDS = [R8, R9, R10, R11] as const;

/** Code of f(mixture, i): position i. */
export function mixtureCode({ weights, vocabularySize }: MixtureShape, constants: bigint): Uint8Array {
  const a = createAssembler();
  const members = weights.map((_, member) => member);
  const count = members.length;
  const experts = count + 1;
  const number = (name: (typeof NAMES)[number]): Memory => forAll(RBP, scalarAt(name));
  const math = { base: RBP, offset: MATH_AT };
  const rowBytes = FLOAT * vocabularySize;
  const power = (register: number): void => powerOfTwo(a, math, register, [T0, T1]);
  a.enter();
  a.sub(RSP, { imm: STACK_BYTES });
  a.mov(RBX, RDI);
  a.mov(R15, RSI);
  a.movAddress(RBP, constants);
  a.storeControl(at(RSP, CONTROL_AT));
  a.loadControl(at(RBP, scalarAt("flushing")));
  // R8 to R11: the members' rows; R12: the answer's; R13: what the masks say.
  const beginRows = (): void => {
    a.movAddress(RAX, BigInt(rowBytes));
    a.mul(RAX, R15);
    for (const [member, register] of WORDS.slice(0, count).entries()) {
      a.mov(register, at(RBX, MIXTURE.words + 8 * member));
      a.add(register, RAX);
    }
    a.mov(R12, at(RBX, MIXTURE.logprobs));
    a.add(R12, RAX);
    a.lea(R13, at(RBP, maskAt()));
    a.movAddress(RCX, BigInt(vocabularySize / TOKENS_AT_ONCE));
    a.load(ORDER, at(RBP, ORDER_AT));
  };
  const nextVectors = (loop: ReturnType<Assembler["label"]>): void => {
    for (const register of [...WORDS.slice(0, count), R12]) a.add(register, { imm: VECTOR });
    a.add(R13, { imm: TOKENS_AT_ONCE / 8 });
    a.addIntegers(ORDER, ORDER, number("sixteen"));
    a.sub(RCX, { imm: 1 });
    a.jump(loop, IF.notEqual);
  };
  const clear = (...registers: readonly number[]): void => {
    for (const register of registers) a.xor(register, register, register);
  };
  const noteBest = (value: number, best: number, place: number): void => {
    a.compareFloats(2, WHERE.greater, value, best);
    a.blend(best, 2, best, value);
    a.blend(place, 2, place, ORDER);
  };

  clear(DIVERGENCE, SPECIAL, MASS);
  a.broadcast(LARGEST, at(RBP, scalarAt("never")));
  for (const member of members) {
    clear(entropyOf(member), placeOf(member));
    a.broadcast(bestOf(member), at(RBP, scalarAt("never")));
  }
  beginRows();
  const [compare, pool, mix] = [a.label(), a.label(), a.label()];
  a.place(compare);
  clear(SUM, POOL);
  a.loadMask(1, at(R13), 16);
  for (const member of members) {
    a.load(X, at(WORDS[member]!));
    a.max(X, X, number("floor"));
    noteBest(X, bestOf(member), placeOf(member));
    a.multiplyAdd(POOL, X, forAll(RBP, weightAt(member)));
    a.multiply(P, X, number("log2e"));
    power(P);
    a.multiplyAdd(entropyOf(member), X, P);
    a.addFloats(SUM, SUM, P);
    if (member > 0) continue;
    clear(T0);
    a.blend(T0, 1, T0, P);
    a.addFloats(SPECIAL, SPECIAL, T0);
  }
  a.multiply(SUM, SUM, forAll(RBP, SHARE_AT));
  a.max(X, SUM, number("tiny"));
  logarithm(a, math, P, X, [T0, T1, T2]);
  a.multiplyAdd(DIVERGENCE, SUM, P);
  a.blend(POOL, 1, POOL, number("never"));
  a.max(LARGEST, LARGEST, POOL);
  a.storeVector(at(R12), POOL);
  nextVectors(compare);

  spread(a, a.max, LARGEST, T0);
  beginRows();
  a.place(pool);
  a.load(X, at(R12));
  a.subtractFloats(X, X, LARGEST);
  a.multiply(X, X, number("log2e"));
  power(X);
  a.addFloats(MASS, MASS, X);
  a.storeVector(at(R12), X);
  nextVectors(pool);

  for (const register of [...members.map(entropyOf), DIVERGENCE, SPECIAL, MASS]) {
    spread(a, a.addFloats, register, T0);
  }
  // RSI: where the position's part of (p, m + 1) begins, in numbers.
  a.movAddress(RSI, BigInt(experts));
  a.mul(RSI, R15);
  for (const member of members) storeTop(a, member, bestOf(member), placeOf(member));
  decideShares(a, count, number);
  // The pool's share, by what its numbers sum to; what it says of special tokens has the plain share.
  a.broadcast(X, at(RBP, scalarAt("one")));
  a.subtractFloats(X, X, SPECIAL);
  a.max(X, X, number("tiny"));
  a.divide(X, X, MASS);
  a.multiply(MASS, shareOf(count), X);

  const [ENTROPY, BEST, PLACE] = [DIVERGENCE, LARGEST, SPECIAL];
  clear(ENTROPY, PLACE);
  a.broadcast(BEST, at(RBP, scalarAt("never")));
  beginRows();
  a.place(mix);
  clear(SUM);
  a.loadMask(1, at(R13), 16);
  for (const member of members) {
    a.load(P, at(WORDS[member]!));
    a.max(P, P, number("floor"));
    a.multiply(P, P, number("log2e"));
    power(P);
    a.multiplyAdd(SUM, shareOf(member), P);
    if (member === 0) a.multiply(T3, P, shareOf(count));
  }
  a.multiply(POOL, MASS, at(R12));
  a.blend(POOL, 1, POOL, T3);
  a.addFloats(SUM, SUM, POOL);
  a.max(SUM, SUM, number("tiny"));
  noteBest(SUM, BEST, PLACE);
  a.addFloats(X, SUM, number("zero"));
  logarithm(a, math, P, X, [T0, T1, T2]);
  a.storeVector(at(R12), P);
  a.multiplyAdd(ENTROPY, SUM, P);
  nextVectors(mix);

  spread(a, a.addFloats, ENTROPY, T0);
  storeTop(a, count, BEST, PLACE);
  storeNegative(a, MIXTURE.entropies, count, ENTROPY);
  a.loadControl(at(RSP, CONTROL_AT));
  a.add(RSP, { imm: STACK_BYTES });
  a.leave();
  return a.finish();
}

/** A number, how floats were computed before, and what keeps the stack at a multiple of 16. */
const STACK_BYTES = 24;
const CONTROL_AT = 8;

/** π of each expert into its register, and to memory with J and the entropies: see gate.ts. Sums are spread. */
function decideShares(a: Assembler, count: number, number: (name: (typeof NAMES)[number]) => Memory): void {
  const entropies = Array.from({ length: count }, (_, member) => entropyOf(member));
  const [ZERO, OTHERS, NEAR, FAR, SURE, UNSURE] = [X, P, SUM, POOL, T0, T1] as const;
  a.xor(ZERO, ZERO, ZERO);
  a.xor(OTHERS, OTHERS, OTHERS);
  for (const [member, entropy] of entropies.entries()) {
    storeNegative(a, MIXTURE.entropies, member, entropy);
    a.subtractFloats(entropy, ZERO, entropy);
    if (member > 0) a.addFloats(OTHERS, OTHERS, entropy);
  }
  a.addFloats(T2, OTHERS, entropyOf(0));
  a.multiply(T2, T2, forAll(RBP, SHARE_AT));
  a.subtractFloats(DIVERGENCE, ZERO, DIVERGENCE);
  a.subtractFloats(DIVERGENCE, DIVERGENCE, T2);
  a.max(DIVERGENCE, DIVERGENCE, ZERO);
  a.min(DIVERGENCE, DIVERGENCE, forAll(RBP, MOST_AT));
  a.mov(RAX, R15);
  a.shl(RAX, 2);
  a.add(RAX, at(RBX, MIXTURE.divergence));
  a.storeLowest(at(RAX), DIVERGENCE);

  a.multiply(FAR, DIVERGENCE, forAll(RBP, PER_MOST_AT));
  a.multiply(OTHERS, OTHERS, forAll(RBP, OTHERS_AT));
  a.addFloats(T2, OTHERS, entropyOf(0));
  a.compareFloats(1, WHERE.less, T2, number("tiny"));
  a.max(T2, T2, number("tiny"));
  a.divide(UNSURE, entropyOf(0), T2);
  a.blend(UNSURE, 1, UNSURE, number("half"));
  a.broadcast(T2, at(RBP, scalarAt("one")));
  a.subtractFloats(NEAR, T2, FAR);
  a.subtractFloats(SURE, T2, UNSURE);
  a.mov(RAX, RSI);
  a.shl(RAX, Math.log2(FLOAT * GATE_CORNERS));
  a.add(RAX, at(RBX, MIXTURE.gate));
  const corners = [
    [NEAR, SURE],
    [NEAR, UNSURE],
    [FAR, SURE],
    [FAR, UNSURE],
  ] as const;
  for (let expert = 0; expert <= count; expert++) a.xor(shareOf(expert), shareOf(expert), shareOf(expert));
  for (const [corner, [x, y]] of corners.entries()) {
    a.multiply(T2, x, y);
    for (let expert = 0; expert <= count; expert++) {
      a.multiplyAdd(shareOf(expert), T2, forAll(RAX, FLOAT * (corner * (count + 1) + expert)));
    }
  }
  a.mov(RAX, RSI);
  a.shl(RAX, 2);
  a.add(RAX, at(RBX, MIXTURE.shares));
  for (let expert = 0; expert <= count; expert++) a.storeLowest(at(RAX, FLOAT * expert), shareOf(expert));
}

/** The negative of a number to the place of an expert in (p, m + 1). Changes vector T3 and rax. */
function storeNegative(a: Assembler, field: number, expert: number, register: number): void {
  a.xor(T3, T3, T3);
  a.subtractFloats(T3, T3, register);
  a.mov(RAX, RSI);
  a.shl(RAX, 2);
  a.add(RAX, at(RBX, field));
  a.storeLowest(at(RAX, FLOAT * expert), T3);
}

/** The first of the best tokens. Changes vectors T0 and T1, and rax and rcx. */
function storeTop(a: Assembler, expert: number, best: number, place: number): void {
  a.addFloats(T1, best, forAll(RBP, scalarAt("zero")));
  spread(a, a.max, T1, T0);
  a.compareFloats(2, WHERE.less, best, T1);
  a.blend(place, 2, place, forAll(RBP, scalarAt("last")));
  spread(a, a.minIntegers, place, T0);
  a.storeLowest(at(RSP), place);
  a.movInt32(RCX, at(RSP));
  a.mov(RAX, RSI);
  a.shl(RAX, 3);
  a.add(RAX, at(RBX, MIXTURE.tops));
  a.store(at(RAX, 8 * expert), RCX);
}
