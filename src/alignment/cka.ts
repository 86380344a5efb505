import { createMatrix, type Matrix, shape } from "../linalg/matrix.ts";
import { hollowGram, unbiasedHsic, type HollowGram } from "./hsic.ts";

/** Mean and standard deviation of each feature, fitted on one sample and applied to any. */
export interface Standardisation {
  /** (d). */
  readonly mean: Float64Array;
  /** Standard deviation with divisor n (d). */
  readonly deviation: Float64Array;
}

/** Feature means and deviations of X (n, d). @throws RangeError without rows */
export function fitStandardisation(x: Matrix): Standardisation {
  const { rows: n, columns: d, data } = x;
  if (n === 0) throw new RangeError(`fitStandardisation: expected rows, X is ${shape(x)}`);
  const mean = new Float64Array(d);
  const deviation = new Float64Array(d);
  for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) mean[j] = mean[j]! + data[i * d + j]! / n;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++) deviation[j] = deviation[j]! + (data[i * d + j]! - mean[j]!) ** 2 / n;
  }
  return { mean, deviation: deviation.map(Math.sqrt) };
}

/**
 * (X − mean) / deviation by feature, X (n, d) → (n, d). Without it a few features of huge variance decide a CKA between
 * language models' layers. A feature that did not vary in the fitted sample becomes 0.
 * @throws RangeError when the widths differ
 */
export function standardise(x: Matrix, fitted: Standardisation): Matrix {
  if (fitted.mean.length !== x.columns) {
    throw new RangeError(`standardise: fitted for width ${fitted.mean.length}, X is ${shape(x)}`);
  }
  const inverse = fitted.deviation.map((s, j) => (s > 1e-12 * Math.abs(fitted.mean[j]!) ? 1 / s : 0));
  const result = createMatrix(x.rows, x.columns);
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < x.columns; j++) {
      const at = i * x.columns + j;
      result.data[at] = (x.data[at]! - fitted.mean[j]!) * inverse[j]!;
    }
  }
  return result;
}

/**
 * Debiased linear CKA of X (n, d) and Y (n, e), row i of both standing for the same thing:
 * HSIC_u(K, L) / √(HSIC_u(K, K) HSIC_u(L, L)), K = XXᵀ, L = YYᵀ, with the unbiased
 * HSIC_u = [tr(K̃L̃) + 1ᵀK̃1 1ᵀL̃1 / ((n−1)(n−2)) − 2/(n−2) 1ᵀK̃L̃1] / (n(n−3)), diagonals set to 0.
 * At most about 1; 0 on average for independent data, so it may be slightly negative. Translations, rotations and
 * isotropic scalings of either side change nothing. Cost n²(d + e), memory 16n² bytes.
 * Song et al. 2012, eq. 5; Kornblith et al. 2019; Nguyen et al. 2021.
 * @throws RangeError when the rows differ, are fewer than 4, or do not vary enough for the self-similarity to be positive
 */
export function cka(x: Matrix, y: Matrix): number {
  return ckaMatrix([x], [y]).data[0]!;
}

/**
 * Debiased linear CKA between every layer of one member and every layer of another: Xs[i] (n, d_i), Ys[j] (n, e_j) →
 * (layers of X, layers of Y). Cost n²(Σd + Σe) + 2n² a pair; memory 8n² bytes for each of the Xs and one more, so pass the
 * member with fewer layers first when n is large.
 * @throws RangeError as `cka`
 */
export function ckaMatrix(xs: readonly Matrix[], ys: readonly Matrix[]): Matrix {
  const n = xs[0]?.rows ?? 0;
  for (const layer of [...xs, ...ys]) {
    if (layer.rows !== n)
      throw new RangeError(`cka: expected ${n} rows in every layer, one is ${shape(layer)}`);
  }
  if (n < 4) throw new RangeError(`cka: HSIC_u needs at least 4 rows, got ${n}`);
  const result = createMatrix(xs.length, ys.length);
  const left = xs.map(varyingGram);
  for (const [j, y] of ys.entries()) {
    const right = varyingGram(y);
    for (const [i, k] of left.entries()) {
      result.data[i * ys.length + j] = unbiasedHsic(k, right) / Math.sqrt(k.self * right.self);
    }
  }
  return result;
}

function varyingGram(x: Matrix): HollowGram {
  const gram = hollowGram(x);
  if (gram.self > 0) return gram;
  throw new RangeError(
    `cka: X ${shape(x)} has self-similarity HSIC_u = ${gram.self}; its rows must vary, or more are needed`,
  );
}
