import { createMatrix, firstColumns, type Matrix, shape } from "../linalg/matrix.ts";
import {
  addGram,
  multiply,
  multiplyTN,
  multiplyVector,
  multiplyVectorTN,
  rowGram,
} from "../linalg/product.ts";
import { symmetricEigen } from "../linalg/symmetric-eigen.ts";

/** ŷ = wᵀx + b. */
export interface RidgeModel {
  /** w (d). */
  readonly weights: Float64Array;
  /** b. */
  readonly intercept: number;
}

export interface ChosenRidge {
  /** Of the ridge chosen, fitted on all rows. */
  readonly model: RidgeModel;
  readonly ridge: number;
  /** Mean squared error of rows left out, under each ridge. */
  readonly losses: readonly number[];
  /** ŷ (n) of each row from all the others, with the ridge chosen. */
  readonly heldOut: Float64Array;
}

/** Directions with less than this share of the largest one's variance are taken to have none. */
const LEAST_SHARE = 1e-12;

/**
 * Ridge regression with the ridge of least leave-one-out error: w, b minimise ‖y − Xw − b‖² + λ‖w‖², b not held back
 * (λ = alpha of scikit-learn). With centred X = U S Vᵀ, w = V (S² + λ)⁻¹ S Uᵀy, and the error at a row left out is
 * e_i / (1 − 1/n − Σ_j u_ij² s_j² / (s_j² + λ)); Golub, Heath & Wahba 1979. One eigendecomposition, of XᵀX (d, d) or of
 * X Xᵀ (n, n), whichever is smaller, serves every ridge. Cost 9r³ + 2ndr + ndr a ridge, r = min(n, d).
 * @param features X (n, d), about alike in scale @param targets y (n) @param ridges each above 0
 * @throws RangeError when shapes do not fit, n < 2, a number is not finite, or a ridge is not above 0
 */
export function fitRidgeRegression(
  features: Matrix,
  targets: ArrayLike<number>,
  ridges: readonly number[],
): ChosenRidge {
  check(features, targets, ridges);
  const { rows: n, columns: d } = features;
  const mean = columnMeans(features);
  const target = Array.from(targets).reduce((a, b) => a + b, 0) / n;
  const centred = createMatrix(n, d);
  for (let i = 0; i < n * d; i++) centred.data[i] = features.data[i]! - mean[i % d]!;
  const y = Float64Array.from(targets, (value) => value - target);
  const { left, values, right } = decompose(centred);
  const along = multiplyVectorTN(left, y);
  const heldOutErrors = (ridge: number): Float64Array => {
    // û_ij² s_j² / (s_j² + λ), and ŷ from the same shares.
    const shares = values.map((value) => value / (value + ridge));
    const fitted = multiplyVector(
      left,
      along.map((a, j) => a * shares[j]!),
    );
    return fitted.map((value, i) => {
      let leverage = 1 / n;
      for (let j = 0; j < shares.length; j++) leverage += shares[j]! * left.data[i * shares.length + j]! ** 2;
      return (y[i]! - value) / (1 - leverage);
    });
  };
  const losses = ridges.map((ridge) => heldOutErrors(ridge).reduce((sum, e) => sum + (e * e) / n, 0));
  const best = losses.indexOf(Math.min(...losses));
  const ridge = ridges[best]!;
  const weights = multiplyVector(
    right,
    along.map((a, j) => (a * Math.sqrt(values[j]!)) / (values[j]! + ridge)),
  );
  const intercept = weights.reduce((sum, w, j) => sum - w * mean[j]!, target);
  const heldOut = heldOutErrors(ridge).map((error, i) => targets[i]! - error);
  return { model: { weights, intercept }, ridge, losses, heldOut };
}

/** ŷ (n) of rows X (n, d). @throws RangeError when X has not d columns */
export function predictRidge({ weights, intercept }: RidgeModel, features: Matrix): Float64Array {
  return multiplyVector(features, weights).map((value) => value + intercept);
}

/** X = U S Vᵀ: U (n, r), S² (r) above 0, V (d, r). */
function decompose(x: Matrix): { left: Matrix; values: Float64Array; right: Matrix } {
  const wide = x.rows < x.columns;
  const gram = wide ? rowGram(x) : createMatrix(x.columns, x.columns);
  if (!wide) addGram(gram, x);
  const eigen = symmetricEigen(gram);
  const least = LEAST_SHARE * (eigen.values[0] ?? 0);
  const kept = eigen.values.filter((value) => value > least);
  const own = firstColumns(eigen.vectors, kept.length);
  const other = wide ? multiplyTN(x, own) : multiply(x, own);
  for (let i = 0; i < other.data.length; i++) other.data[i]! /= Math.sqrt(kept[i % kept.length]!);
  return wide ? { left: own, values: kept, right: other } : { left: other, values: kept, right: own };
}

function columnMeans(x: Matrix): Float64Array {
  const mean = new Float64Array(x.columns);
  for (let i = 0; i < x.data.length; i++) mean[i % x.columns]! += x.data[i]! / x.rows;
  return mean;
}

function check(features: Matrix, targets: ArrayLike<number>, ridges: readonly number[]): void {
  if (features.rows < 2 || targets.length !== features.rows) {
    throw new RangeError(
      `fitRidgeRegression: expected a target for each of at least 2 rows, got X ${shape(features)} and ${targets.length} targets`,
    );
  }
  if (!features.data.every(Number.isFinite) || !Array.from(targets).every(Number.isFinite)) {
    throw new RangeError("fitRidgeRegression: a feature or target is not finite");
  }
  if (ridges.length === 0 || !ridges.every((ridge) => ridge > 0)) {
    throw new RangeError(`fitRidgeRegression: expected ridges above 0, got [${ridges.join(", ")}]`);
  }
}
