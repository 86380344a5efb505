import { at, forAll, type Assembler } from "./assembler.ts";

/*
 * Functions of vectors that kernels share, to float32's precision or nearly. Their numbers lie in memory behind a register.
 */

/** Terms of 2^x and of ln x that are summed. */
const [POWER_TERMS, LOGARITHM_TERMS] = [7, 6];
/** 2^x of anything lower is as good as none, and no longer a normal number. */
const LEAST_EXPONENT = -126;

/** Places in `VECTOR_MATH`, in bytes. */
const POWER_AT = 0;
const LEAST_EXPONENT_AT = 4 * POWER_TERMS;
const LOGARITHM_AT = LEAST_EXPONENT_AT + 4;
const ONE_AT = LOGARITHM_AT + 4 * LOGARITHM_TERMS;
const LN_2_AT = ONE_AT + 4;

/** What the functions look up. */
export const VECTOR_MATH: readonly number[] = [
  // 2^x = Σ (x ln 2)^n / n!, to 1.2e-7 for |x| ≤ ½.
  ...Array.from({ length: POWER_TERMS }, (_, n) => Math.LN2 ** n / factorial(n)),
  LEAST_EXPONENT,
  // ln x = 2 Σ z^(2n + 1) / (2n + 1) with z = (x − 1) / (x + 1), to 1e-7 for 1 ≤ x < 2.
  ...Array.from({ length: LOGARITHM_TERMS }, (_, n) => 2 / (2 * n + 1)),
  1,
  Math.LN2,
];

function factorial(n: number): number {
  return n < 2 ? 1 : n * factorial(n - 1);
}

/** `VECTOR_MATH` in memory. */
export interface MathNumbers {
  readonly base: number;
  readonly offset: number;
}

/** x = 2^x of numbers that are at most 127, lower than −126 like −126. Changes the spare vectors. */
export function powerOfTwo(
  a: Assembler,
  { base, offset }: MathNumbers,
  x: number,
  [whole, sum]: readonly [number, number],
): void {
  a.max(x, x, forAll(base, offset + LEAST_EXPONENT_AT));
  a.round(whole, x);
  a.subtractFloats(x, x, whole);
  const term = (n: number) => forAll(base, offset + POWER_AT + 4 * n);
  a.broadcast(sum, at(base, offset + POWER_AT + 4 * (POWER_TERMS - 1)));
  for (let n = POWER_TERMS - 2; n >= 0; n--) a.multiplyThenAdd(sum, x, term(n));
  a.scaleBinary(x, sum, whole);
}

/** target = ln x of positive, normal numbers. Changes x and the spare vectors. */
export function logarithm(
  a: Assembler,
  { base, offset }: MathNumbers,
  target: number,
  x: number,
  [exponent, z, squared]: readonly [number, number, number],
): void {
  const one = forAll(base, offset + ONE_AT);
  a.exponent(exponent, x);
  a.mantissa(x, x);
  a.addFloats(z, x, one);
  a.subtractFloats(x, x, one);
  a.divide(z, x, z);
  a.multiply(squared, z, z);
  const term = (n: number) => forAll(base, offset + LOGARITHM_AT + 4 * n);
  a.broadcast(target, at(base, offset + LOGARITHM_AT + 4 * (LOGARITHM_TERMS - 1)));
  for (let n = LOGARITHM_TERMS - 2; n >= 0; n--) a.multiplyThenAdd(target, squared, term(n));
  a.multiply(target, target, z);
  a.multiplyAdd(target, exponent, forAll(base, offset + LN_2_AT));
}

/** A vector's sixteen numbers by an operation into each of its numbers. Changes the spare vector. */
export function spread(
  a: Assembler,
  operation: (target: number, x: number, y: number) => void,
  register: number,
  spare: number,
): void {
  for (const shuffle of [a.shuffleQuarters, a.shuffleWithin]) {
    for (const order of [0x4e, 0xb1]) {
      shuffle(spare, register, order);
      operation(register, register, spare);
    }
  }
}
