import { createMatrix, type Matrix } from "../linalg/matrix.ts";
import { addGram } from "../linalg/product.ts";

/** Weighted mean and covariance of the rows seen so far. */
export interface Moments {
  /** Sum of the weights; the number of rows where none were given. */
  readonly weight: number;
  /** μ = Σ w x / Σ w (d). */
  readonly mean: Float64Array;
  /** C = Σ w (x − μ)(x − μ)ᵀ / Σ w (d, d). */
  readonly covariance: Matrix;
}

export interface MomentAccumulator {
  /**
   * Adds rows (n, d), row-major, each with weight 1 or its own weight >= 0 (n). Cost nd²: blocks of 100 rows and more
   * are best.
   * @throws RangeError when the numbers are no whole rows, or there are not as many weights as rows
   */
  add(rows: Float32Array | Float64Array, weights?: ArrayLike<number>): void;
  /** @throws RangeError while the sum of weights is 0 */
  result(): Moments;
}

/**
 * Mean and covariance of rows of width d that are never held all at once. Each block is centred at its own mean and
 * merged into the whole, so a large common mean costs no digits. Chan, Golub & LeVeque 1983, eq. 2.1.
 */
export function createMoments(width: number): MomentAccumulator {
  let weight = 0;
  const mean = new Float64Array(width);
  const scatter = createMatrix(width, width);
  return {
    add(rows, weights) {
      const count = rows.length / width;
      if (!Number.isInteger(count) || (weights !== undefined && weights.length !== count)) {
        throw new RangeError(
          `createMoments: ${rows.length} numbers and ${weights?.length ?? "no"} weights are not rows of width ${width}`,
        );
      }
      const block = blockMean(rows, width, weights);
      if (block.weight === 0) return;
      addGram(scatter, centred(rows, width, weights, block.mean));
      const share = block.weight / (weight + block.weight);
      const shift = block.mean.map((x, j) => x - mean[j]!);
      addOuter(scatter, shift, weight * share);
      for (let j = 0; j < width; j++) mean[j] = mean[j]! + share * shift[j]!;
      weight += block.weight;
    },
    result() {
      if (weight === 0)
        throw new RangeError("createMoments: no rows yet; add some before asking for the result");
      const covariance = { ...scatter, data: scatter.data.map((x) => x / weight) };
      return { weight, mean: mean.slice(), covariance };
    },
  };
}

function blockMean(
  rows: Float32Array | Float64Array,
  width: number,
  weights: ArrayLike<number> | undefined,
): { weight: number; mean: Float64Array } {
  const mean = new Float64Array(width);
  let weight = 0;
  for (let i = 0, at = 0; at < rows.length; i++, at += width) {
    const w = weights?.[i] ?? 1;
    weight += w;
    for (let j = 0; j < width; j++) mean[j] = mean[j]! + w * rows[at + j]!;
  }
  if (weight > 0) for (let j = 0; j < width; j++) mean[j] = mean[j]! / weight;
  return { weight, mean };
}

/** √w (x − mean) for each row. */
function centred(
  rows: Float32Array | Float64Array,
  width: number,
  weights: ArrayLike<number> | undefined,
  mean: Float64Array,
): Matrix {
  const result = createMatrix(rows.length / width, width);
  for (let i = 0, at = 0; at < rows.length; i++, at += width) {
    const root = Math.sqrt(weights?.[i] ?? 1);
    for (let j = 0; j < width; j++) result.data[at + j] = root * (rows[at + j]! - mean[j]!);
  }
  return result;
}

function addOuter(target: Matrix, x: Float64Array, factor: number): void {
  const n = x.length;
  for (let i = 0; i < n; i++) {
    const scaled = factor * x[i]!;
    for (let j = 0; j < n; j++) target.data[i * n + j] = target.data[i * n + j]! + scaled * x[j]!;
  }
}
