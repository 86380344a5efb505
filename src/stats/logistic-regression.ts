import { createMatrix, type Matrix, rowBlock, shape } from "../linalg/matrix.ts";
import { multiply } from "../linalg/product.ts";
import type { Random } from "../linalg/random.ts";
import { dealFolds } from "./folds.ts";
import {
  createPreconditioner,
  fitSoftmax,
  type Preconditioner,
  probabilitiesOfScores,
  scatterOf,
  type SoftmaxTask,
  type SoftmaxWeights,
} from "./softmax-regression.ts";

/** Rows of features with a class each. */
export interface ClassExamples {
  /** X (n, d): about alike in scale, since one ridge is for all. */
  readonly features: Matrix;
  /** y (n), from 0; every class occurs. */
  readonly labels: readonly number[];
  /** c >= 2. */
  readonly classes: number;
}

/** P(class | x) = softmax(Wᵀx + b). */
export interface LogisticModel {
  /** W (d, c); each row sums to 0. */
  readonly weights: Matrix;
  /** b (c). */
  readonly intercepts: Float64Array;
}

export interface LogisticSearch {
  /** λ to choose among, each above 0. */
  readonly ridges: readonly number[];
  readonly folds: number;
  readonly random: Random;
  /** Called after each fit with the share that is done, in (0, 1]. */
  readonly onProgress?: (share: number) => void;
}

export interface ChosenLogistic {
  /** Of the ridge chosen, fitted on all examples. */
  readonly model: LogisticModel;
  readonly ridge: number;
  /** Mean negative log-likelihood of held-out examples under each ridge, nats. */
  readonly losses: readonly number[];
  /** The fold (n) that held each example out, and each fold's model from the others, with the ridge chosen. */
  readonly fold: Int32Array;
  readonly foldModels: readonly LogisticModel[];
}

/** Nats an example that the next step may still gain: of a model that stays, and of one that is only scored. */
const FINAL_TOLERANCE = 1e-16;
const SEARCH_TOLERANCE = 1e-8;

/**
 * L2-regularised logistic regression: W, b that minimise −Σ_i ln P(y_i | x_i) + ½ λ ‖W‖², with b not held back; of two
 * classes ½ λ ‖w‖² of the difference w = W_1 − W_0. λ = 1/C of scikit-learn. Cost as `fitSoftmax`.
 * @param start a model to begin at, of the same shape
 * @throws RangeError when shapes do not fit, a class does not occur, a feature is not finite, or λ is not above 0
 */
export function fitLogisticRegression(
  examples: ClassExamples,
  ridge: number,
  start?: LogisticModel,
): LogisticModel {
  const task = taskOf(examples);
  const preconditioner = createPreconditioner(scatterOf(task), task, ridgesOf(task, ridge));
  return fitFinal(task, preconditioner, start === undefined ? undefined : narrowed(start));
}

/**
 * The ridge with the least loss on held-out examples, in folds that part each class evenly, and the model it gives. Each
 * fold goes from the largest ridge to the least, each fit starting where the last one ended.
 * @throws RangeError as `fitLogisticRegression` does, or when a class has a single example
 */
export function chooseLogisticRegression(
  examples: ClassExamples,
  { ridges, folds, random, onProgress }: LogisticSearch,
): ChosenLogistic {
  const task = taskOf(examples);
  const scatter = scatterOf(task);
  const order = Array.from(ridges.keys()).sort((i, j) => ridges[j]! - ridges[i]!);
  const preconditioners = ridges.map((ridge) => createPreconditioner(scatter, task, ridgesOf(task, ridge)));
  const fold = dealFolds(task.labels, folds, random);
  const count = fold.reduce((a, b) => Math.max(a, b)) + 1;
  const losses = ridges.map(() => 0);
  const found: SoftmaxWeights[][] = [];
  let done = 0;
  for (let out = 0; out < count; out++) {
    const rowWeights = Float64Array.from(fold, (own) => Number(own !== out));
    const models: SoftmaxWeights[] = [];
    let last: SoftmaxWeights | undefined;
    for (const r of order) {
      const fit = fitSoftmax(
        { ...task, rowWeights },
        preconditioners[r]!,
        SEARCH_TOLERANCE * fold.length,
        last,
      );
      losses[r]! += heldOutLoss(task, fit.scores, rowWeights) / fold.length;
      models[r] = last = { weights: fit.weights, intercepts: fit.intercepts };
      onProgress?.(++done / (count * ridges.length + 1));
    }
    found.push(models);
  }
  const best = losses.indexOf(Math.min(...losses));
  if (best < 0) throw new RangeError("chooseLogisticRegression: expected at least one ridge");
  const model = fitFinal(task, preconditioners[best]!, found[0]?.[best]);
  onProgress?.(1);
  const foldModels = found.map((models) => widened(models[best]!));
  return { model, ridge: ridges[best]!, losses, fold, foldModels };
}

/**
 * Class probabilities (n, c) of each example by the model that had held it out.
 * @param features X (n, d) of the same examples: as they were learned from, or as something else sees them
 */
export function heldOutProbabilities(
  { fold, foldModels }: Pick<ChosenLogistic, "fold" | "foldModels">,
  features: Matrix,
): Matrix {
  const classes = foldModels[0]?.intercepts.length ?? 0;
  const result = createMatrix(fold.length, classes);
  for (const [out, model] of foldModels.entries()) {
    const probabilities = classProbabilities(model, features);
    for (const [i, own] of fold.entries()) {
      if (own === out) result.data.set(rowBlock(probabilities, i, 1).data, i * classes);
    }
  }
  return result;
}

/** Class probabilities of rows X (n, d) → (n, c). Cost 2ndc. @throws RangeError when X has not d columns */
export function classProbabilities({ weights, intercepts }: LogisticModel, features: Matrix): Matrix {
  const scores = multiply(features, weights);
  const c = intercepts.length;
  for (let i = 0; i < scores.data.length; i++) scores.data[i]! += intercepts[i % c]!;
  return probabilitiesOfScores(scores, c);
}

function fitFinal(task: SoftmaxTask, preconditioner: Preconditioner, start?: SoftmaxWeights): LogisticModel {
  return widened(fitSoftmax(task, preconditioner, FINAL_TOLERANCE * task.features.rows, start));
}

function heldOutLoss({ labels, classes }: SoftmaxTask, scores: Matrix, rowWeights: Float64Array): number {
  const probabilities = probabilitiesOfScores(scores, classes).data;
  return rowWeights.reduce(
    (sum, weight, i) =>
      sum - (weight === 0 ? Math.log(Math.max(probabilities[i * classes + labels[i]!]!, Number.EPSILON)) : 0),
    0,
  );
}

function taskOf({ features, labels, classes }: ClassExamples): SoftmaxTask {
  if (!Number.isInteger(classes) || classes < 2 || labels.length !== features.rows) {
    throw new RangeError(
      `logistic regression: expected a label for each row of X ${shape(features)} and at least 2 classes, got ${labels.length} labels and ${classes} classes`,
    );
  }
  const counts = Array.from({ length: classes }, () => 0);
  for (const [i, label] of labels.entries()) {
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new RangeError(
        `logistic regression: expected labels from 0 to ${classes - 1}, got ${label} at ${i}`,
      );
    }
    counts[label]!++;
  }
  const absent = counts.indexOf(0);
  if (absent >= 0) throw new RangeError(`logistic regression: class ${absent} of ${classes} has no example`);
  if (!features.data.every(Number.isFinite)) {
    throw new RangeError("logistic regression: a feature is not finite");
  }
  return { features, labels, classes, intercept: true };
}

function ridgesOf({ features, classes }: SoftmaxTask, ridge: number): Matrix {
  if (!(ridge > 0)) throw new RangeError(`logistic regression: expected a ridge above 0, got ${ridge}`);
  const ridges = createMatrix(features.columns, classes === 2 ? 1 : classes);
  ridges.data.fill(ridge);
  return ridges;
}

/** Of two classes, ∓½ (w, b) from the difference w; else as it is. */
function widened({ weights, intercepts }: SoftmaxWeights): LogisticModel {
  if (intercepts.length > 1) return { weights, intercepts };
  const both = createMatrix(weights.rows, 2);
  for (let j = 0; j < weights.rows; j++) both.data.set([-weights.data[j]! / 2, weights.data[j]! / 2], 2 * j);
  return { weights: both, intercepts: Float64Array.of(-intercepts[0]! / 2, intercepts[0]! / 2) };
}

/** The inverse of `widened`. */
function narrowed({ weights, intercepts }: LogisticModel): SoftmaxWeights {
  if (intercepts.length > 2) return { weights, intercepts };
  const one = createMatrix(weights.rows, 1);
  for (let j = 0; j < weights.rows; j++) one.data[j] = weights.data[2 * j + 1]! - weights.data[2 * j]!;
  return { weights: one, intercepts: Float64Array.of(intercepts[1]! - intercepts[0]!) };
}
