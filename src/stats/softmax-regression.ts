import { cholesky, choleskySolve } from "../linalg/cholesky.ts";
import { createMatrix, type Matrix } from "../linalg/matrix.ts";
import { multiply, multiplyTN, multiplyVector, multiplyVectorTN } from "../linalg/product.ts";
import { createMoments } from "./moments.ts";

/**
 * Rows with a class each. As many scores as there are columns of ridges: one of each class, k = c, or of two classes
 * one of the second, k = 1, the first's being 0.
 */
export interface SoftmaxTask {
  /** X (n, d). */
  readonly features: Matrix;
  /** y (n), from 0. */
  readonly labels: ArrayLike<number>;
  /** c >= 2. */
  readonly classes: number;
  /** v (n), each >= 0; all 1 unless given. Rows of weight 0 are only scored. */
  readonly rowWeights?: Float64Array;
  /** Whether the scores have an intercept, which is not held back. */
  readonly intercept: boolean;
}

/** Scores S = X W + 1 bᵀ. */
export interface SoftmaxWeights {
  /** W (d, k). */
  readonly weights: Matrix;
  /** b (k). */
  readonly intercepts: Float64Array;
}

/** What is known of X beforehand: its mean, and a bound's factors for one set of ridges. */
export interface Preconditioner {
  /** μ (d); 0 without an intercept. */
  readonly mean: Float64Array;
  /** λ (d, k), each above 0. */
  readonly ridges: Matrix;
  /** Cholesky factors of h Σ (x − μ)(x − μ)ᵀ + diag(λ): one for all columns, or one for each. */
  readonly factors: readonly Matrix[];
  /** h n. */
  readonly mass: number;
}

/** Pairs of steps and changes of the gradient that are remembered. */
const MEMORY = 10;
const MAX_STEPS = 500;
/** A step is long enough where the slope along it is this small a part of what it was. */
const SLOPE_LEFT = 0.1;
/** Rows that the bound is made of: enough for every direction, and few where n is large. */
const BOUND_ROWS_LEAST = 2048;
const BOUND_ROWS_PER_COLUMN = 4;

/** Mean (d) and Σ (x − μ)(x − μ)ᵀ of all rows, the latter estimated from some rows spread evenly where there are many. */
export function scatterOf({ features, intercept }: SoftmaxTask): { mean: Float64Array; scatter: Matrix } {
  const { rows: n, columns: d, data } = features;
  const step = Math.max(1, Math.floor(n / Math.max(BOUND_ROWS_LEAST, BOUND_ROWS_PER_COLUMN * d)));
  const taken = createMatrix(Math.ceil(n / step), d);
  for (let i = 0; i < taken.rows; i++) {
    taken.data.set(data.subarray(i * step * d, (i * step + 1) * d), i * d);
  }
  const moments = createMoments(d);
  moments.add(taken.data);
  const { mean, covariance } = moments.result();
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) {
      const raw = intercept ? 0 : mean[i]! * mean[j]!;
      covariance.data[i * d + j] = n * (covariance.data[i * d + j]! + raw);
    }
  }
  return { mean: intercept ? mean : new Float64Array(d), scatter: covariance };
}

/**
 * The Hessian where all classes are as probable, but for what couples the classes: h = 1/c, or ¼ where k = 1.
 * Böhning 1992 bounds it by twice as much. Cost d³/3 for ridges that are alike, else k times as much.
 */
export function createPreconditioner(
  { mean, scatter }: { mean: Float64Array; scatter: Matrix },
  { features, classes }: SoftmaxTask,
  ridges: Matrix,
): Preconditioner {
  const curvature = ridges.columns === 1 ? 1 / 4 : 1 / classes;
  const d = features.columns;
  const alike = ridges.data.every((ridge) => ridge === ridges.data[0]);
  const factors = Array.from({ length: alike ? 1 : ridges.columns }, (_, column) => {
    const bound = createMatrix(d, d);
    for (let i = 0; i < d * d; i++) bound.data[i] = curvature * scatter.data[i]!;
    for (let j = 0; j < d; j++) bound.data[j * d + j]! += ridges.data[j * ridges.columns + column]!;
    return cholesky(bound);
  });
  return { mean, ridges, factors, mass: curvature * features.rows };
}

/** Weights, and the scores (n, k) of all rows under them. */
export interface SoftmaxFit extends SoftmaxWeights {
  readonly scores: Matrix;
}

/**
 * The weights that minimise −Σ_i v_i ln P(y_i) + ½ Σ λ_jk W_jk², P = softmax of the scores. L-BFGS (Nocedal & Wright
 * 2006, alg. 7.4) from `start`, over features centred at μ, its first Hessian the preconditioner's; the step's length by
 * Newton's method along it, which needs no further products. Cost a step 4ndk + 2d²k, about 10 to 30 steps.
 * @param tolerance nats over all rows that the next step would gain, at which it ends
 * @throws RangeError when it does not end, as where a number is not finite
 */
export function fitSoftmax(
  task: SoftmaxTask,
  preconditioner: Preconditioner,
  tolerance: number,
  start?: SoftmaxWeights,
): SoftmaxFit {
  const k = preconditioner.ridges.columns;
  const d = task.features.columns;
  const point = new Float64Array((d + 1) * k);
  if (start !== undefined) {
    point.set(start.weights.data);
    // b' = b + Wᵀμ: the intercept of centred features.
    point.set(shifted(start.intercepts, start.weights, preconditioner.mean, 1), d * k);
  }
  const scores = scoresOf(task, preconditioner.mean, point, k);
  const memory: Pair[] = [];
  let gradient = gradientOf(task, preconditioner, scores, point);
  for (let step = 0; step < MAX_STEPS; step++) {
    const direction = descent(gradient, memory, preconditioner, task.intercept);
    const gain = -dot(direction, gradient) / 2;
    if (gain < tolerance) return { ...split(point, preconditioner.mean, k), scores };
    if (Number.isNaN(gain)) break;
    const change = scoresOf(task, preconditioner.mean, direction, k);
    const length = lineMinimum(task, preconditioner.ridges, scores, change, point, direction);
    addScaled(point, direction, length);
    addScaled(scores.data, change.data, length);
    const next = gradientOf(task, preconditioner, scores, point);
    const turn = next.map((g, i) => g - gradient[i]!);
    memory.push({
      step: direction.map((x) => length * x),
      turn,
      curvature: length * dot(direction, turn),
    });
    if (memory.length > MEMORY) memory.shift();
    gradient = next;
  }
  throw new RangeError(`fitSoftmax: no convergence in ${MAX_STEPS} steps, or a number is not finite`);
}

/** Turns scores (k) of each row into class probabilities: (n, k) → (n, c). */
export function probabilitiesOfScores(scores: Matrix, classes: number): Matrix {
  const k = scores.columns;
  const result = createMatrix(scores.rows, classes);
  const shares = new Float64Array(k);
  for (let i = 0; i < scores.rows; i++) {
    softmaxRow(scores.data, i * k, k, shares);
    if (k === 1) result.data[i * 2] = 1 - shares[0]!;
    result.data.set(shares, i * classes + (classes - k));
  }
  return result;
}

/** A step taken, s, how the gradient changed, y, and sᵀy. */
interface Pair {
  readonly step: Float64Array;
  readonly turn: Float64Array;
  readonly curvature: number;
}

/** −H g by the two loops of L-BFGS. */
function descent(
  gradient: Float64Array,
  memory: readonly Pair[],
  preconditioner: Preconditioner,
  intercept: boolean,
): Float64Array {
  const q = gradient.map((g) => -g);
  const shares = new Float64Array(memory.length);
  for (let m = memory.length - 1; m >= 0; m--) {
    const { step, turn, curvature } = memory[m]!;
    shares[m] = dot(step, q) / curvature;
    addScaled(q, turn, -shares[m]!);
  }
  const result = precondition(q, preconditioner, intercept);
  for (const [m, { step, turn, curvature }] of memory.entries()) {
    addScaled(result, step, shares[m]! - dot(turn, result) / curvature);
  }
  return result;
}

function precondition(
  q: Float64Array,
  { factors, mass, ridges }: Preconditioner,
  intercept: boolean,
): Float64Array {
  const { rows: d, columns: k } = ridges;
  const result = new Float64Array(q.length);
  const [shared] = factors;
  if (factors.length === 1 && shared !== undefined) {
    result.set(choleskySolve(shared, { rows: d, columns: k, data: q.subarray(0, d * k) }).data);
  } else {
    for (const [column, factor] of factors.entries()) {
      const own = createMatrix(d, 1);
      for (let j = 0; j < d; j++) own.data[j] = q[j * k + column]!;
      const solved = choleskySolve(factor, own).data;
      for (let j = 0; j < d; j++) result[j * k + column] = solved[j]!;
    }
  }
  if (intercept)
    for (let column = 0; column < k; column++) result[d * k + column] = q[d * k + column]! / mass;
  return result;
}

/** (X − 1 μᵀ) W + 1 b'ᵀ (n, k). */
function scoresOf({ features }: SoftmaxTask, mean: Float64Array, point: Float64Array, k: number): Matrix {
  const { weights, intercepts } = split(point, mean, k);
  const scores = k === 1 ? asColumn(multiplyVector(features, weights.data)) : multiply(features, weights);
  for (let at = 0; at < scores.data.length; at += k) {
    for (let column = 0; column < k; column++) scores.data[at + column]! += intercepts[column]!;
  }
  return scores;
}

function gradientOf(
  task: SoftmaxTask,
  { mean, ridges }: Preconditioner,
  scores: Matrix,
  point: Float64Array,
): Float64Array {
  const { rows: d, columns: k } = ridges;
  const residuals = residualsOf(task, scores);
  const sums = new Float64Array(k);
  for (let at = 0; at < residuals.data.length; at += k) {
    for (let column = 0; column < k; column++) sums[column]! += residuals.data[at + column]!;
  }
  const gradient = new Float64Array(point.length);
  const pulled =
    k === 1 ? multiplyVectorTN(task.features, residuals.data) : multiplyTN(task.features, residuals).data;
  gradient.set(pulled);
  for (let j = 0; j < d; j++) {
    for (let column = 0; column < k; column++) {
      const at = j * k + column;
      gradient[at]! += ridges.data[at]! * point[at]! - mean[j]! * sums[column]!;
    }
  }
  if (task.intercept) gradient.set(sums, d * k);
  return gradient;
}

/** v (P − Y) (n, k). */
function residualsOf({ labels, classes, rowWeights }: SoftmaxTask, scores: Matrix): Matrix {
  const k = scores.columns;
  const result = createMatrix(scores.rows, k);
  const shares = new Float64Array(k);
  for (let i = 0; i < scores.rows; i++) {
    const weight = rowWeights?.[i] ?? 1;
    if (weight === 0) continue;
    softmaxRow(scores.data, i * k, k, shares);
    const right = labels[i]! - (classes - k);
    for (let column = 0; column < k; column++) {
      result.data[i * k + column] = weight * (shares[column]! - Number(column === right));
    }
  }
  return result;
}

/** The length at which the loss along a direction is least, nearly. The loss is convex: Newton's steps, kept in a bracket. */
function lineMinimum(
  task: SoftmaxTask,
  ridges: Matrix,
  scores: Matrix,
  change: Matrix,
  point: Float64Array,
  direction: Float64Array,
): number {
  let penaltySlope = 0;
  let penaltyCurvature = 0;
  for (let i = 0; i < ridges.data.length; i++) {
    penaltySlope += ridges.data[i]! * point[i]! * direction[i]!;
    penaltyCurvature += ridges.data[i]! * direction[i]! ** 2;
  }
  const at = (length: number): { slope: number; curvature: number } => {
    const { slope, curvature } = slopeAlong(task, scores, change, length);
    return {
      slope: slope + penaltySlope + length * penaltyCurvature,
      curvature: curvature + penaltyCurvature,
    };
  };
  const most = SLOPE_LEFT * Math.abs(at(0).slope);
  let low = 0;
  let high = Number.POSITIVE_INFINITY;
  let length = 1;
  for (let trial = 0; trial < 30; trial++) {
    const { slope, curvature } = at(length);
    if (Math.abs(slope) <= most) break;
    if (slope > 0) high = length;
    else low = length;
    length -= slope / curvature;
    if (!(length > low && length < high))
      length = high === Number.POSITIVE_INFINITY ? 2 * low : (low + high) / 2;
  }
  return length;
}

/** First and second derivative of the data's loss in t, at the scores S + tΔ. */
function slopeAlong(
  { labels, classes, rowWeights }: SoftmaxTask,
  scores: Matrix,
  change: Matrix,
  length: number,
): { slope: number; curvature: number } {
  const k = scores.columns;
  const own = new Float64Array(k);
  const shares = new Float64Array(k);
  let slope = 0;
  let curvature = 0;
  for (let i = 0; i < scores.rows; i++) {
    const weight = rowWeights?.[i] ?? 1;
    if (weight === 0) continue;
    for (let column = 0; column < k; column++) {
      own[column] = scores.data[i * k + column]! + length * change.data[i * k + column]!;
    }
    softmaxRow(own, 0, k, shares);
    let mean = 0;
    let square = 0;
    for (let column = 0; column < k; column++) {
      const step = change.data[i * k + column]!;
      mean += shares[column]! * step;
      square += shares[column]! * step * step;
    }
    const right = labels[i]! - (classes - k);
    slope += weight * (mean - (right >= 0 ? change.data[i * k + right]! : 0));
    curvature += weight * (square - mean * mean);
  }
  return { slope, curvature };
}

/** Probabilities of the classes that have a score (k) from scores at `from`. */
function softmaxRow(scores: Float64Array, from: number, k: number, shares: Float64Array): void {
  if (k === 1) {
    shares[0] = 1 / (1 + Math.exp(-scores[from]!));
    return;
  }
  let largest = Number.NEGATIVE_INFINITY;
  for (let column = 0; column < k; column++) largest = Math.max(largest, scores[from + column]!);
  let sum = 0;
  for (let column = 0; column < k; column++) {
    shares[column] = Math.exp(scores[from + column]! - largest);
    sum += shares[column]!;
  }
  for (let column = 0; column < k; column++) shares[column]! /= sum;
}

/** W and b = b' − Wᵀμ. */
function split(point: Float64Array, mean: Float64Array, k: number): SoftmaxWeights {
  const d = mean.length;
  const weights = { rows: d, columns: k, data: point.subarray(0, d * k) };
  return { weights, intercepts: shifted(point.subarray(d * k), weights, mean, -1) };
}

/** b + sign · Wᵀμ. */
function shifted(b: Float64Array, weights: Matrix, mean: Float64Array, sign: 1 | -1): Float64Array {
  const k = weights.columns;
  return b.map((value, column) => {
    let sum = 0;
    for (let j = 0; j < mean.length; j++) sum += weights.data[j * k + column]! * mean[j]!;
    return value + sign * sum;
  });
}

/** x (n) as a matrix (n, 1). */
function asColumn(x: Float64Array): Matrix {
  return { rows: x.length, columns: 1, data: x };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** a += factor · b. */
function addScaled(a: Float64Array, b: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i++) a[i]! += factor * b[i]!;
}
