import { normaliseRows } from "../alignment/sentence-space.ts";

/** What is taken from each number of a state, and what the rest is multiplied by (d). */
export interface Standard {
  readonly mean: Float32Array;
  readonly scale: Float32Array;
}

/** Row-major vectors of texts, each of length 1. */
export interface UnitVectors {
  /** Numbers in a vector. */
  readonly dimension: number;
  /** (n, dimension). */
  readonly vectors: Float32Array;
}

/**
 * A member's own vectors of its states (n, d): each over its length.
 * @param standard applied first. A causal model's states need it, since a few of their numbers are the same large ones
 *   for every text; an encoder was trained to do without.
 */
export function ownVectors(states: Float32Array, dimension: number, standard: Standard | null): Float32Array {
  if (standard === null) return normaliseRows(states, dimension);
  const { mean, scale } = standard;
  return normaliseRows(
    states.map((x, at) => (x - (mean[at % dimension] ?? 0)) * (scale[at % dimension] ?? 0)),
    dimension,
  );
}

/**
 * e = [e_1 … e_m] / √m of m members (n, d_i) → (n, Σ d_i), so that a cosine is the mean of the members' cosines. The
 * numbers are interleaved, the first of each member, then the second, …: the first ones are some of every member's.
 */
export function sideBySideVectors(members: readonly UnitVectors[]): UnitVectors {
  const [one] = members;
  const rows = one === undefined ? 0 : one.vectors.length / one.dimension;
  const dimension = members.reduce((total, member) => total + member.dimension, 0);
  const longest = Math.max(...members.map((member) => member.dimension));
  const vectors = new Float32Array(rows * dimension);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < longest; j++) {
      for (const { dimension: width, vectors: own } of members) {
        if (j < width) vectors[at++] = (own[row * width + j] ?? 0) / Math.sqrt(members.length);
      }
    }
  }
  return { dimension, vectors };
}

/** The members' vectors of one width (n, d) added up, over their length: where one member's have a meaning to another. */
export function meanVectors(members: readonly UnitVectors[]): UnitVectors {
  const dimension = members[0]?.dimension ?? 0;
  const sums = new Float32Array(members[0]?.vectors.length ?? 0);
  for (const { vectors } of members) {
    for (let at = 0; at < sums.length; at++) sums[at] = (sums[at] ?? 0) + (vectors[at] ?? 0);
  }
  return { dimension, vectors: normaliseRows(sums, dimension) };
}
