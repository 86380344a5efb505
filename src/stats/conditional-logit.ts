import { cholesky, choleskySolve } from "../linalg/cholesky.ts";
import { createMatrix, type Matrix, shape } from "../linalg/matrix.ts";
import { addGram, multiplyVector } from "../linalg/product.ts";

/** Items with options of which one was right. */
export interface ChoiceSets {
  /** X (Σ c, p): the options' features, one item's options after another's. */
  readonly features: Matrix;
  /** Options of each item (n). */
  readonly counts: readonly number[];
  /** Which of its options was right, from 0 (n). */
  readonly labels: readonly number[];
}

/** Half a squared Newton step this small, in nats over all items, is the end. */
const TOLERANCE = 1e-10;
const MAX_STEPS = 100;

/**
 * θ (p) of the conditional logit model P(option c of item i) = exp(θ·x_ic) / Σ_c' exp(θ·x_ic') that minimises
 * −Σ_i ln P(label_i) + ½ Σ_j ridge_j θ_j². What all options of an item share has no effect. Newton steps with the exact
 * Hessian Σ_i Cov_i(x) + diag(ridge), from 0; a step that does not lower the loss is halved. Cost a step: p² Σ c + p³/3,
 * about 8 steps. McFadden 1974.
 * @param ridge (p), each above 0
 * @throws RangeError when shapes do not fit, a ridge is not above 0, or a feature is not finite
 */
export function fitConditionalLogit(sets: ChoiceSets, ridge: readonly number[]): Float64Array {
  check(sets);
  const p = sets.features.columns;
  if (ridge.length !== p || !ridge.every((value) => value > 0)) {
    throw new RangeError(`fitConditionalLogit: expected ${p} ridges above 0, got ${ridge.join(", ")}`);
  }
  let weights: Float64Array = new Float64Array(p);
  let loss = penalisedLoss(sets, weights, ridge);
  if (!Number.isFinite(loss)) throw new RangeError("fitConditionalLogit: a feature is not finite");
  for (let step = 0; step < MAX_STEPS; step++) {
    const { direction, decrease } = newtonStep(sets, weights, ridge);
    if (decrease < TOLERANCE) return weights;
    let length = 1;
    let candidate = moved(weights, direction, length);
    let next = penalisedLoss(sets, candidate, ridge);
    while (!(next < loss) && length > 1e-6) {
      length /= 2;
      candidate = moved(weights, direction, length);
      next = penalisedLoss(sets, candidate, ridge);
    }
    // Rounding hides what is left to gain.
    if (!(next < loss)) return weights;
    weights = candidate;
    loss = next;
  }
  throw new RangeError(`fitConditionalLogit: no convergence in ${MAX_STEPS} steps; loss ${loss}`);
}

/** −(1/n) Σ_i ln P(label_i), nats, under θ (p). @throws RangeError when shapes do not fit */
export function choiceLogLoss(sets: ChoiceSets, weights: Float64Array): number {
  check(sets);
  return logLoss(sets, weights) / sets.counts.length;
}

function penalisedLoss(sets: ChoiceSets, weights: Float64Array, ridge: readonly number[]): number {
  return logLoss(sets, weights) + weights.reduce((sum, w, j) => sum + 0.5 * ridge[j]! * w * w, 0);
}

function logLoss(sets: ChoiceSets, weights: Float64Array): number {
  const probabilities = probabilitiesOf(sets, weights);
  let loss = 0;
  let first = 0;
  for (const [i, count] of sets.counts.entries()) {
    loss -= probabilities.logs[first + sets.labels[i]!]!;
    first += count;
  }
  return loss;
}

/** P of each option among its item's, and ln P (Σ c). */
function probabilitiesOf(
  { features, counts }: ChoiceSets,
  weights: Float64Array,
): { values: Float64Array; logs: Float64Array } {
  const logs = multiplyVector(features, weights);
  let first = 0;
  for (const count of counts) {
    const own = logs.subarray(first, first + count);
    const largest = own.reduce((a, b) => Math.max(a, b));
    const partition = largest + Math.log(own.reduce((sum, score) => sum + Math.exp(score - largest), 0));
    for (let c = 0; c < count; c++) own[c] = own[c]! - partition;
    first += count;
  }
  return { values: logs.map(Math.exp), logs };
}

/** −H⁻¹g, and the fall of the loss it promises. */
function newtonStep(
  sets: ChoiceSets,
  weights: Float64Array,
  ridge: readonly number[],
): { direction: Float64Array; decrease: number } {
  const { features, counts, labels } = sets;
  const p = weights.length;
  const { values } = probabilitiesOf(sets, weights);
  const descent = createMatrix(p, 1);
  // Rows √P (x − Σ P x): their Gram matrix is the sum of the items' covariances.
  const spread = createMatrix(features.rows, p);
  let first = 0;
  for (const [i, count] of counts.entries()) {
    const mean = new Float64Array(p);
    for (let row = first; row < first + count; row++) {
      for (let j = 0; j < p; j++) mean[j] = mean[j]! + values[row]! * features.data[row * p + j]!;
    }
    const right = first + labels[i]!;
    for (let j = 0; j < p; j++) descent.data[j]! += features.data[right * p + j]! - mean[j]!;
    for (let row = first; row < first + count; row++) {
      const root = Math.sqrt(values[row]!);
      for (let j = 0; j < p; j++) spread.data[row * p + j] = root * (features.data[row * p + j]! - mean[j]!);
    }
    first += count;
  }
  const hessian = createMatrix(p, p);
  addGram(hessian, spread);
  for (let j = 0; j < p; j++) {
    hessian.data[j * p + j]! += ridge[j]!;
    descent.data[j]! -= ridge[j]! * weights[j]!;
  }
  const direction = choleskySolve(cholesky(hessian), descent).data;
  const decrease = direction.reduce((sum, d, j) => sum + 0.5 * d * descent.data[j]!, 0);
  return { direction, decrease };
}

function moved(weights: Float64Array, direction: Float64Array, length: number): Float64Array {
  return weights.map((w, j) => w + length * direction[j]!);
}

function check({ features, counts, labels }: ChoiceSets): void {
  const options = counts.reduce((sum, count) => sum + count, 0);
  if (counts.length === 0 || options !== features.rows || labels.length !== counts.length) {
    throw new RangeError(
      `conditional logit: X ${shape(features)} does not fit ${counts.length} items with ${options} options and ${labels.length} labels`,
    );
  }
  const wrong = labels.findIndex((label, i) => !(label >= 0 && label < counts[i]!));
  if (wrong >= 0) {
    throw new RangeError(
      `conditional logit: item ${wrong} has ${counts[wrong]} options, and its label is ${labels[wrong]}`,
    );
  }
}
