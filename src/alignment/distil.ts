import { createRandom } from "../linalg/random.ts";
import type { Progress } from "../ports/progress.ts";
import { decoderRowCount, type SharedSpace } from "./shared-space.ts";

/** One example to learn from: what a mix of members' states should decode to. */
export interface DistillationRow {
  /** Each member's centred final state h − μ (d_m); unread where its share is 0. */
  readonly states: readonly Float32Array[];
  /** The members' shares in it: 1 for one member alone (m). */
  readonly shares: readonly number[];
  /** q(r) for some of the decoder's rows; the rest is 0. */
  readonly target: Iterable<readonly [row: number, weight: number]>;
}

/** A batch in the form the step takes, all row-major. */
export interface DistillationBatch {
  readonly rows: number;
  /** H_m (B, d_m): states times the member's share. */
  readonly states: readonly Float32Array[];
  /** A (B, m). */
  readonly shares: Float32Array;
  /** q (B, R). */
  readonly target: Float32Array;
}

export interface DistillationParameters {
  /** P_m and S_m, (d_m, k) each. */
  readonly projections: readonly Float32Array[];
  readonly factors: readonly Float32Array[];
  /** β (m, R). */
  readonly rowBias: Float32Array;
}

export interface DistillationGradient {
  /** −Σ q log p over the batch, nats. */
  readonly loss: number;
  /** In the shapes of the parameters, summed over the batch. */
  readonly gradient: DistillationParameters;
}

/** Loss and gradient of one batch. Whoever can multiply fast does. */
export type DistillationStep = (
  parameters: DistillationParameters,
  batch: DistillationBatch,
) => Promise<DistillationGradient>;

export interface DistilOptions {
  readonly step: DistillationStep;
  /** How many rows there are to learn from, and row r of them, which may be made anew at every call. */
  readonly count: number;
  readonly row: (r: number) => DistillationRow;
  readonly epochs: number;
  readonly seed: number;
  readonly progress: Progress;
}

/** Rows in a step: 33 MB of targets at R = 65,536. Of the same rows, twice as many steps of half as many gain more. */
const BATCH_ROWS = 128;

const ADAM = { first: 0.9, second: 0.99, epsilon: 1e-12 } as const;
/** Step sizes: of a matrix's column, as a share of its mean absolute entry; of a row's bias, in nats. */
const MATRIX_RATE = 0.004;
const BIAS_RATE = 1e-3;

/**
 * Refines a space by gradient descent on the mean over examples of −Σ_r q(r) ln p(r), p the softmax of the logits
 * E Σ a_m z_m + Σ a_m β_m over all of the decoder's rows: P_m, S_m and β_m move, the mean states stay. Adam with linearly
 * decaying steps; a step's size follows each dimension's own scale, so that the metric of the space does not matter.
 * Hinton et al. 2015 for the loss. Cost a batch: that of `step`, some 6BRΣd operations.
 * @param means μ_m (d_m), what the rows' states are centred at
 */
export async function distil(
  space: SharedSpace,
  means: readonly Float32Array[],
  options: DistilOptions,
): Promise<SharedSpace> {
  const { step, count, epochs, seed, progress } = options;
  const batchRows = Math.min(BATCH_ROWS, count);
  const { dimension: k } = space;
  const decoderRows = decoderRowCount(space);
  const parameters = {
    projections: space.members.map((member) => member.projection.slice()),
    factors: space.members.map((member) => member.factor.slice()),
    rowBias: concatenate(space.members.map((member) => member.rowBias)),
  };
  const arrays = [...parameters.projections, ...parameters.factors, parameters.rowBias];
  const optimisers = [
    ...parameters.projections.map((matrix) => createAdam(matrix, columnRates(matrix, k))),
    ...parameters.factors.map((matrix) => createAdam(matrix, columnRates(matrix, k))),
    createAdam(parameters.rowBias, Float32Array.of(BIAS_RATE)),
  ];
  const random = createRandom(seed);
  const perEpoch = Math.max(1, Math.floor(count / batchRows));
  const total = perEpoch * epochs;
  progress.stage("refining the maps", total, "steps");
  let done = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = random.shuffle(Array.from({ length: count }, (_, r) => r));
    for (let b = 0; b < perEpoch; b++) {
      const rows = order.slice(b * batchRows, (b + 1) * batchRows).map(options.row);
      const { gradient } = await step(parameters, makeBatch(rows, space));
      const gradients = [...gradient.projections, ...gradient.factors, gradient.rowBias];
      done++;
      for (const [i, optimiser] of optimisers.entries()) {
        optimiser(arrays[i]!, gradients[i]!, 1 / rows.length, done, 1 - (done - 1) / total);
      }
      progress.update(done);
    }
  }
  progress.finish();
  return {
    ...space,
    members: space.members.map((member, m) =>
      Object.assign({}, member, {
        projection: parameters.projections[m]!,
        factor: parameters.factors[m]!,
        offset: projectedMean(parameters.projections[m]!, means[m]!, k),
        rowBias: parameters.rowBias.slice(m * decoderRows, (m + 1) * decoderRows),
      }),
    ),
  };
}

function makeBatch(rows: readonly DistillationRow[], space: SharedSpace): DistillationBatch {
  const members = space.members.length;
  const shares = new Float32Array(rows.length * members);
  const decoderRows = decoderRowCount(space);
  const target = new Float32Array(rows.length * decoderRows);
  const states = space.members.map(({ width }) => new Float32Array(rows.length * width));
  for (const [r, row] of rows.entries()) {
    for (const [m, share] of row.shares.entries()) {
      shares[r * members + m] = share;
      if (share === 0) continue;
      const width = space.members[m]!.width;
      for (let j = 0; j < width; j++) states[m]![r * width + j] = share * row.states[m]![j]!;
    }
    for (const [at, weight] of row.target) target[r * decoderRows + at]! += weight;
  }
  return { rows: rows.length, states, shares, target };
}

type Optimiser = (
  values: Float32Array,
  gradient: Float32Array,
  scale: number,
  time: number,
  decay: number,
) => void;

/** Adam (Kingma & Ba 2015, algorithm 1); entry i has the rate `rates[i mod their number]`. */
function createAdam(values: Float32Array, rates: Float32Array): Optimiser {
  const first = new Float32Array(values.length);
  const second = new Float32Array(values.length);
  const columns = rates.length;
  return (target, gradient, scale, time, decay) => {
    const firstCorrection = 1 - ADAM.first ** time;
    const secondCorrection = 1 - ADAM.second ** time;
    for (let i = 0; i < target.length; i++) {
      const g = gradient[i]! * scale;
      const m = (first[i] = ADAM.first * first[i]! + (1 - ADAM.first) * g);
      const v = (second[i] = ADAM.second * second[i]! + (1 - ADAM.second) * g * g);
      const size = Math.sqrt(v / secondCorrection) + ADAM.epsilon;
      target[i] = target[i]! - (decay * rates[i % columns]! * (m / firstCorrection)) / size;
    }
  };
}

function columnRates(matrix: Float32Array, columns: number): Float32Array {
  const rates = new Float32Array(columns);
  for (let i = 0; i < matrix.length; i++) rates[i % columns]! += Math.abs(matrix[i]!);
  return rates.map((sum) => (MATRIX_RATE * sum * columns) / matrix.length);
}

/** −Pᵀμ (k). */
function projectedMean(projection: Float32Array, mean: Float32Array, k: number): Float32Array {
  const offset = new Float64Array(k);
  for (let i = 0; i < mean.length; i++) {
    for (let j = 0; j < k; j++) offset[j] = offset[j]! - mean[i]! * projection[i * k + j]!;
  }
  return Float32Array.from(offset);
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
