import {
  createMatrix,
  firstColumns,
  matrixFrom,
  type Matrix,
  rowBlock,
  sideBySide,
} from "../linalg/matrix.ts";
import { addGram, multiply } from "../linalg/product.ts";
import { symmetricEigen } from "../linalg/symmetric-eigen.ts";
import { createMoments } from "../stats/moments.ts";

/*
 * A space that the sentence states of m members share, whatever their widths, tokenizers and training.
 *
 * Member k turns n sentences into pooled states F_k (n, d_k). Each column is centred and divided by its deviation, since a
 * few columns of a residual stream are a thousand times larger than the rest, and the p_k leading principal components
 * X_k = (F_k − 1μᵀ) S⁻¹ V_k (n, p_k) are kept. MAXVAR-GCCA (Kettenring 1971; Rastogi et al. 2015) asks for the r directions
 * G (n, r) over the sentences that are nearest to what all members can say:
 *   min Σ_k ‖G − X_k W_k‖² + γ_k ‖W_k‖²   with GᵀG = I.
 * X_kᵀX_k = Λ_k is diagonal. With D_k = (Λ_k + γ_k I)^−½ and Y = [X_1 D_1 … X_m D_m],
 *   YᵀY = V diag(ρ) Vᵀ,  G = Y V_r ρ_r^−½,  W_k = D_k V_{k,r} ρ_r^½,
 * ρ_j in (0, m] telling how far the members agree on direction j: m where all of them have it. A sentence's state is
 *   z_k = A_kᵀ S⁻¹(f − μ),  A_k = V_k W_k · c_k,
 * c_k making the mean square of its numbers 1. Directions come in the order of ρ, so the first ones are the best short
 * space. Each member has its own map: one that is missing changes nothing for the others.
 */

/** What turns one member's pooled states into shared ones: z = Aᵀ ((f − μ) ∘ s). */
export interface SentenceMap {
  /** The member's. */
  readonly id: string;
  /** The layer whose states it reads. */
  readonly layer: number;
  /** μ (d). */
  readonly mean: Float32Array;
  /** s (d): one over each column's deviation; 0 for a column that never changes. */
  readonly scale: Float32Array;
  /** A (d, r), row-major. */
  readonly projection: Float32Array;
}

export interface SentenceSpace {
  /** r. */
  readonly dimension: number;
  readonly maps: readonly SentenceMap[];
  /** ρ (r): how many of the members have each direction, at most m. */
  readonly agreement: Float64Array;
}

/** One member's pooled states of the sentences to fit on. */
export interface SentenceBlock {
  readonly id: string;
  readonly layer: number;
  /** d. */
  readonly width: number;
  /** Row-major (n, d): row i is of the same sentence for every member. */
  readonly states: Float32Array;
}

export interface SentenceFitOptions {
  /** r. */
  readonly dimension: number;
  /** γ_k as a share of the mean of Λ_k. */
  readonly ridge: number;
  /** p: principal components kept of each member, at most. */
  readonly components: number;
}

/** Eigenvalues below this share of the largest are noise of the arithmetic. */
const SMALLEST_SHARE = 1e-9;

/**
 * Fits the space of the blocks' members. Cost Σ n d_k² + n(Σp)² + 9(Σp)³.
 * @throws RangeError when there are no blocks, they differ in sentences, or have fewer components than dimensions
 */
export function fitSentenceSpace(
  blocks: readonly SentenceBlock[],
  { dimension, ridge, components }: SentenceFitOptions,
): SentenceSpace {
  const bases = blocks.map((block) => principalBasis(block, components));
  const rows = bases[0]?.scores.rows ?? 0;
  const total = bases.reduce((sum, { scores }) => sum + scores.columns, 0);
  const uneven = bases.find(({ scores }) => scores.rows !== rows);
  if (rows === 0 || uneven !== undefined) {
    throw new RangeError(
      `fitSentenceSpace: expected states of the same sentences, got ${bases.map(({ scores }) => scores.rows).join(", ") || "none"}`,
    );
  }
  if (!Number.isInteger(dimension) || dimension < 1 || dimension > Math.min(total, rows - 1)) {
    throw new RangeError(
      `fitSentenceSpace: expected a dimension from 1 to ${Math.min(total, rows - 1)}, got ${dimension}`,
    );
  }
  const whitenings = bases.map(({ energies }) => {
    const gamma = (ridge * energies.reduce((sum, x) => sum + x, 0)) / energies.length;
    return energies.map((energy) => 1 / Math.sqrt(energy + gamma));
  });
  const gram = createMatrix(total, total);
  addGram(gram, sideBySide(bases.map(({ scores }, k) => scaleColumns(scores, whitenings[k]!))));
  const { values, vectors } = symmetricEigen(gram);
  const leading = firstColumns(vectors, dimension);
  const roots = values.subarray(0, dimension).map((rho) => Math.sqrt(Math.max(rho, 0)));
  let first = 0;
  const maps = bases.map(({ id, layer, mean, scale, vectors: basis, scores }, k): SentenceMap => {
    const own = rowBlock(leading, first, basis.columns);
    first += basis.columns;
    const weights = scaleColumns(scaleRows(own, whitenings[k]!), roots);
    const size = rootMeanSquare(multiply(scores, weights).data);
    const projection = multiply(basis, weights).data.map((x) => x / (size || 1));
    return {
      id,
      layer,
      mean: Float32Array.from(mean),
      scale: Float32Array.from(scale),
      projection: Float32Array.from(projection),
    };
  });
  return { dimension, maps, agreement: values.slice(0, dimension) };
}

/** z (n, r) of a member's pooled states (n, d), row-major. Cost 2ndr. @throws RangeError when they are no rows of width d */
export function projectSentences(map: SentenceMap, states: Float32Array): Float32Array {
  const width = map.mean.length;
  const rows = states.length / width;
  if (!Number.isInteger(rows)) {
    throw new RangeError(`projectSentences: ${states.length} numbers are no rows of width ${width}`);
  }
  const centred = matrixFrom(rows, width, states);
  for (let at = 0; at < states.length; at++) {
    const j = at % width;
    centred.data[at] = (centred.data[at]! - map.mean[j]!) * map.scale[j]!;
  }
  const projection = matrixFrom(width, map.projection.length / width, map.projection);
  return Float32Array.from(multiply(centred, projection).data);
}

/**
 * Retrieval@1: the share of rows of A (n, r) whose nearest row of B by cosine is their own, and the reverse, averaged.
 * Equal cosines count against it. In [0, 1]; 1/n by chance.
 */
export function retrievalAt1(a: Float32Array, b: Float32Array, dimension: number): number {
  const rows = a.length / dimension;
  if (a.length !== b.length || !Number.isInteger(rows) || rows === 0) {
    throw new RangeError(
      `retrievalAt1: ${a.length} and ${b.length} numbers are no pairs of width ${dimension}`,
    );
  }
  const left = normaliseRows(a, dimension);
  const right = normaliseRows(b, dimension);
  const bestOfRow = new Float64Array(rows).fill(-Infinity);
  const bestOfColumn = new Float64Array(rows).fill(-Infinity);
  const own = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < rows; j++) {
      let cosine = 0;
      for (let k = 0; k < dimension; k++) cosine += left[i * dimension + k]! * right[j * dimension + k]!;
      if (i === j) own[i] = cosine;
      else {
        bestOfRow[i] = Math.max(bestOfRow[i]!, cosine);
        bestOfColumn[j] = Math.max(bestOfColumn[j]!, cosine);
      }
    }
  }
  let hits = 0;
  for (let i = 0; i < rows; i++) {
    hits += Number(own[i]! > bestOfRow[i]!) + Number(own[i]! > bestOfColumn[i]!);
  }
  return hits / (2 * rows);
}

/** Each row (n, d) over its length; a row of zeros stays. */
export function normaliseRows(rows: Float32Array, width: number): Float32Array {
  const result = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += width) {
    let square = 0;
    for (let j = 0; j < width; j++) square += rows[at + j]! ** 2;
    const inverse = square > 0 ? 1 / Math.sqrt(square) : 0;
    for (let j = 0; j < width; j++) result[at + j] = rows[at + j]! * inverse;
  }
  return result;
}

interface PrincipalBasis extends Pick<SentenceBlock, "id" | "layer"> {
  readonly mean: Float64Array;
  readonly scale: Float64Array;
  /** V (d, p). */
  readonly vectors: Matrix;
  /** X (n, p). */
  readonly scores: Matrix;
  /** Λ (p). */
  readonly energies: Float64Array;
}

function principalBasis({ id, layer, width, states }: SentenceBlock, components: number): PrincipalBasis {
  const moments = createMoments(width);
  moments.add(states);
  const { mean, covariance, weight: rows } = moments.result();
  const scale = Float64Array.from({ length: width }, (_, j) => {
    const variance = covariance.data[j * (width + 1)]!;
    return variance > 0 ? 1 / Math.sqrt(variance) : 0;
  });
  const { values, vectors } = symmetricEigen(scaleRows(scaleColumns(covariance, scale), scale));
  const floor = SMALLEST_SHARE * values[0]!;
  const kept = Math.min(components, values.findLastIndex((value) => value > floor) + 1);
  if (kept < 1) throw new RangeError(`fitSentenceSpace: the states of ${id} at layer ${layer} never change`);
  const leading = firstColumns(vectors, kept);
  const standard = matrixFrom(rows, width, states);
  for (let at = 0; at < states.length; at++) {
    const j = at % width;
    standard.data[at] = (standard.data[at]! - mean[j]!) * scale[j]!;
  }
  const energies = values.slice(0, kept).map((value) => value * rows);
  return { id, layer, mean, scale, vectors: leading, scores: multiply(standard, leading), energies };
}

function scaleColumns(a: Matrix, factors: Float64Array): Matrix {
  return { ...a, data: a.data.map((x, at) => x * factors[at % a.columns]!) };
}

function scaleRows(a: Matrix, factors: Float64Array): Matrix {
  return { ...a, data: a.data.map((x, at) => x * factors[Math.floor(at / a.columns)]!) };
}

function rootMeanSquare(numbers: Float64Array): number {
  return Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length);
}
