import { type Matrix, shape } from "../linalg/matrix.ts";
import { rowGram } from "../linalg/product.ts";

/** K̃ = XXᵀ with a zero diagonal, and the sums that every comparison needs. */
export interface HollowGram {
  /** (n, n), symmetric. */
  readonly gram: Matrix;
  /** K̃1 (n). */
  readonly rowSums: Float64Array;
  /** 1ᵀK̃1. */
  readonly sum: number;
  /** HSIC_u(K̃, K̃): positive where the rows vary, but for chance in few rows. */
  readonly self: number;
}

/** Of X (n, d). Cost n²d, memory 8n² bytes. @throws RangeError for fewer than 4 rows, of which there is no HSIC_u */
export function hollowGram(x: Matrix): HollowGram {
  if (x.rows < 4) throw new RangeError(`hollowGram: HSIC_u needs at least 4 rows, X is ${shape(x)}`);
  const gram = rowGram(x);
  const n = gram.rows;
  const rowSums = new Float64Array(n);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    gram.data[i * n + i] = 0;
    let rowSum = 0;
    for (let j = 0; j < n; j++) rowSum += gram.data[i * n + j]!;
    rowSums[i] = rowSum;
    sum += rowSum;
  }
  const partial = { gram, rowSums, sum };
  return { ...partial, self: unbiasedHsic(partial, partial) };
}

/**
 * HSIC_u = [tr(K̃L̃) + 1ᵀK̃1 1ᵀL̃1 / ((n−1)(n−2)) − 2/(n−2) 1ᵀK̃L̃1] / (n(n−3)) of two Gram matrices (n, n) with zero
 * diagonals. Its mean is that of the whole population, whatever n. Gretton et al. 2005, made unbiased by Song et al. 2012,
 * eq. 5. Cost 2n².
 */
export function unbiasedHsic(
  k: Pick<HollowGram, "gram" | "rowSums" | "sum">,
  l: Pick<HollowGram, "gram" | "rowSums" | "sum">,
): number {
  const n = k.gram.rows;
  const trace = dot(k.gram.data, l.gram.data);
  const sums = (k.sum * l.sum) / ((n - 1) * (n - 2));
  const crossed = (2 / (n - 2)) * dot(k.rowSums, l.rowSums);
  return (trace + sums - crossed) / (n * (n - 3));
}

function dot(x: Float64Array, y: Float64Array): number {
  let even = 0;
  let odd = 0;
  for (let i = 0; i + 1 < x.length; i += 2) {
    even += x[i]! * y[i]!;
    odd += x[i + 1]! * y[i + 1]!;
  }
  if (x.length % 2 === 1) even += x.at(-1)! * y.at(-1)!;
  return even + odd;
}
