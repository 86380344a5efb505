import { matrixFrom } from "../linalg/matrix.ts";
import { rowGram } from "../linalg/product.ts";
import { symmetricEigen } from "../linalg/symmetric-eigen.ts";

/**
 * Whether a question is like those of a set, by the state x (d) that it puts the members into. Plain data: a Gaussian with
 * r directions of its own and one variance for all others (Tipping & Bishop 1999, eq. 9), over standardised features, and
 * the set's own scores under it, of questions that it was not fitted on.
 */
export interface Likeness {
  /** μ (d). */
  readonly mean: Float32Array;
  /** 1 / deviation of each feature (d); 0 where it is constant. */
  readonly scale: Float32Array;
  /** v (r, d), row-major, orthonormal. */
  readonly directions: Float32Array;
  /** λ (r). */
  readonly variances: readonly number[];
  /** σ²: of every direction that is not one of these. */
  readonly residual: number;
  /** Scores of questions held back, ascending. */
  readonly scores: readonly number[];
}

/** r. */
const DIRECTIONS = 8;
/** Of so many questions the directions are found; more cost time and change little. */
const MOST_ROWS = 400;

/** Below this likeness a question is not taken for one of the set: of those that are, as many are refused. */
export const LEAST_LIKENESS = 0.02;

/**
 * @param seen states (d) of the questions that directions are found on
 * @param held those of others, of the same set
 * @throws RangeError when there are fewer than two of the first or none of the second
 */
export function fitLikeness(seen: readonly Float32Array[], held: readonly Float32Array[]): Likeness {
  if (seen.length < 2 || held.length === 0) {
    throw new RangeError(
      `fitLikeness: expected 2 states to fit and 1 to compare with, got ${seen.length} and ${held.length}`,
    );
  }
  const rows = seen.slice(0, MOST_ROWS);
  const n = rows.length;
  const d = rows[0]?.length ?? 0;
  const mean = new Float32Array(d);
  const scale = new Float32Array(d);
  for (let j = 0; j < d; j++) {
    const average = rows.reduce((sum, row) => sum + (row[j] ?? 0), 0) / n;
    const variance = rows.reduce((sum, row) => sum + ((row[j] ?? 0) - average) ** 2, 0) / n;
    mean[j] = average;
    scale[j] = variance > 0 ? 1 / Math.sqrt(variance) : 0;
  }
  const x = matrixFrom(
    n,
    d,
    rows.flatMap((row) => Array.from(standardised(row, mean, scale))),
  );
  const gram = rowGram(x);
  const { values, vectors } = symmetricEigen(gram);
  const r = Math.min(DIRECTIONS, n - 1, d);
  const directions = new Float32Array(r * d);
  for (let k = 0; k < r; k++) {
    const length = Math.sqrt(Math.max(values[k] ?? 0, Number.MIN_VALUE));
    for (let i = 0; i < n; i++) {
      const u = (vectors.data[i * n + k] ?? 0) / length;
      for (let j = 0; j < d; j++)
        directions[k * d + j] = (directions[k * d + j] ?? 0) + u * (x.data[i * d + j] ?? 0);
    }
  }
  const variances = Array.from(values.subarray(0, r), (value) => value / n);
  const total = values.reduce((sum, value) => sum + Math.max(value, 0), 0) / n;
  const rest = total - variances.reduce((sum, value) => sum + value, 0);
  const gaussian = {
    mean,
    scale,
    directions,
    variances,
    residual: Math.max(rest / Math.max(d - r, 1), 1e-12),
  };
  return { ...gaussian, scores: held.map((row) => scoreOf(gaussian, row)).sort((a, b) => a - b) };
}

/**
 * p = (1 + #{held back: score >= own}) / (n + 1) in (0, 1]: of questions of the set, a share of about p or less has such a p.
 * Conformal novelty detection, Laxhammar & Falkman 2010. @throws RangeError on a state of another width
 */
export function likenessOf(likeness: Likeness, state: Float32Array): number {
  if (state.length !== likeness.mean.length) {
    throw new RangeError(`likeness: expected a state of ${likeness.mean.length}, got ${state.length}`);
  }
  const own = scoreOf(likeness, state);
  const above = likeness.scores.filter((score) => score >= own).length;
  return (1 + above) / (likeness.scores.length + 1);
}

/** Σ_k (v_k·x̂)²/λ_k + ‖x̂ − Σ_k (v_k·x̂) v_k‖²/σ², x̂ the standardised state. */
function scoreOf(
  { mean, scale, directions, variances, residual }: Omit<Likeness, "scores">,
  state: Float32Array,
): number {
  const x = standardised(state, mean, scale);
  const d = x.length;
  let left = x.reduce((sum, value) => sum + value * value, 0);
  let score = 0;
  for (const [k, variance] of variances.entries()) {
    let along = 0;
    for (let j = 0; j < d; j++) along += (directions[k * d + j] ?? 0) * (x[j] ?? 0);
    left -= along * along;
    score += (along * along) / variance;
  }
  return score + left / residual;
}

function standardised(state: Float32Array, mean: Float32Array, scale: Float32Array): Float64Array {
  return Float64Array.from(state, (value, j) => (value - (mean[j] ?? 0)) * (scale[j] ?? 0));
}
