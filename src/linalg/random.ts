/** Seeded source of randomness: same seed, same numbers, on every machine. Not for secrets. */
export interface Random {
  /** Uniform in [0, 1), 53 random bits. */
  next(): number;
  /** Uniform whole number in [0, bound). @throws RangeError unless 1 <= bound <= 2^32 */
  integer(bound: number): number;
  /** Standard normal. */
  normal(): number;
  /** Shuffles in place (Fisher–Yates) and returns its argument. */
  shuffle<T extends { [index: number]: number | undefined; readonly length: number }>(items: T): T;
}

/**
 * xoshiro128** (Blackman & Vigna 2018; period 2^128 − 1), its state filled by splitmix32 from `seed`, of which the
 * low 32 bits count.
 * @throws RangeError when the seed is no whole number
 */
export function createRandom(seed: number): Random {
  if (!Number.isInteger(seed)) throw new RangeError(`createRandom: expected a whole seed, got ${seed}`);
  const bits = createXoshiro(seed);
  const next = (): number => ((bits() >>> 5) * 67_108_864 + (bits() >>> 6)) / 9_007_199_254_740_992;
  const integer = (bound: number): number => {
    if (!Number.isInteger(bound) || bound < 1 || bound > 4_294_967_296) {
      throw new RangeError(`integer: expected a whole bound from 1 to 2^32, got ${bound}`);
    }
    // Values from the last, incomplete run of `bound` would favour the small results.
    const limit = 4_294_967_296 - (4_294_967_296 % bound);
    let value = bits();
    while (value >= limit) value = bits();
    return value % bound;
  };
  let spare: number | null = null;
  const normal = (): number => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    // Box–Muller; 1 - next() is never 0.
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    const angle = 2 * Math.PI * next();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  const shuffle: Random["shuffle"] = (items) => {
    for (let i = items.length - 1; i > 0; i--) {
      const j = integer(i + 1);
      const held = items[i];
      items[i] = items[j];
      items[j] = held;
    }
    return items;
  };
  return { next, integer, normal, shuffle };
}

/** 32 random bits a call, as a number in [0, 2^32). */
function createXoshiro(seed: number): () => number {
  const fill = createSplitmix(seed);
  let s0 = fill(),
    s1 = fill(),
    s2 = fill(),
    s3 = fill();
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = rotateLeft(s3, 11);
    return result;
  };
}

/** splitmix32: turns neighbouring seeds into unrelated states. */
function createSplitmix(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) | 0;
  };
}

function rotateLeft(x: number, count: number): number {
  return (x << count) | (x >>> (32 - count));
}
