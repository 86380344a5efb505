import { cholesky, choleskySolve } from "../linalg/cholesky.ts";
import { createMatrix, type Matrix } from "../linalg/matrix.ts";
import { logSumExp } from "../stats/distributions.ts";
import { expNonPositive } from "../stats/exponential.ts";

/** One position of the fit text. */
export interface PoolPosition {
  /** Each member's logits or log-probabilities over the same V tokens (m arrays). */
  readonly logits: readonly Float32Array[];
  /** The token that came. */
  readonly token: number;
  /** φ (c), if the weights depend on the position: member m's is Σ_c w_mc φ_c. One 1 if absent. */
  readonly features?: readonly number[];
}

/** All positions, from the first, again at every call; arrays may be reused from one position to the next. */
export type PoolPositions = () => Iterable<PoolPosition> | AsyncIterable<PoolPosition>;

export interface PoolWeights {
  /** w (m), or row-major (m, c) with c features; all >= 0. They need not sum to 1. */
  readonly weights: readonly number[];
  /** Mean −ln p(token) of each member alone (m), nats. */
  readonly memberNll: readonly number[];
  /** Mean −ln p(token) of the pool with these weights, nats. */
  readonly nll: number;
  readonly positions: number;
  /** Passes over the positions. */
  readonly passes: number;
}

/** Mean loss at some weights, with its derivatives. */
interface Evaluation {
  readonly nll: number;
  /** (m · c). */
  readonly gradient: Float64Array;
  /** (m · c, m · c). */
  readonly hessian: Matrix;
  readonly positions: number;
}

/** Half a squared Newton step this small, in nats, is the end. */
const TOLERANCE = 1e-10;
const MAX_PASSES = 60;

/**
 * Weights of the log-linear pool p ∝ exp(Σ w_m l_m) that make the given tokens most likely, w >= 0:
 * min_w mean(ln Σ_v exp(Σ w_m l_m(v)) − Σ w_m l_m(token)), a convex problem. Projected Newton steps from w = 1/m:
 * gradient E_p[l] − l(token), Hessian Cov_p(l), both exact; a weight at 0 whose gradient would push it below stays there;
 * a step that does not lower the loss is halved. Members' logits need no normalising. With features, the derivatives by
 * w_mc are φ_c times those by the position's own weights. Cost a pass: V(m²/2 + 2m)
 * operations and V exponentials a position; about 6 passes. Bertsekas 1982, "Projected Newton methods".
 * @throws RangeError when there are no positions, their shapes differ, a token is outside V, or a logit is not finite
 */
export async function fitPoolWeights(
  members: number,
  positions: PoolPositions,
  features = 1,
): Promise<PoolWeights> {
  let weights = new Float64Array(members * features).fill(1 / members);
  const memberNll = new Float64Array(members);
  let current = await evaluate(positions, members, weights, ({ logits, token }) => {
    for (const [m, row] of logits.entries()) memberNll[m] = memberNll[m]! + logSumExp(row) - row[token]!;
  });
  let passes = 1;
  for (;;) {
    const step = newtonStep(weights, current);
    if (step.decrease < TOLERANCE) break;
    let accepted = false;
    for (let length = 1; !accepted && length > 1e-6; length /= 2) {
      if (passes++ === MAX_PASSES) {
        throw new RangeError(
          `fitPoolWeights: no convergence in ${MAX_PASSES} passes; weights ${weights.join(", ")}`,
        );
      }
      const candidate = weights.map((w, m) => Math.max(0, w + length * step.direction[m]!));
      const next = await evaluate(positions, members, candidate);
      accepted = next.nll < current.nll;
      if (accepted) {
        weights = candidate;
        current = next;
      }
    }
    // Rounding hides what is left to gain.
    if (!accepted) break;
  }
  return {
    weights: [...weights],
    memberNll: Array.from(memberNll, (sum) => sum / current.positions),
    nll: current.nll,
    positions: current.positions,
    passes,
  };
}

/** −H⁻¹g over the weights that are free to move, 0 elsewhere, and the fall of the loss it promises. */
function newtonStep(
  weights: Float64Array,
  { gradient, hessian }: Evaluation,
): { direction: Float64Array; decrease: number } {
  const free = [...weights.keys()].filter((m) => weights[m]! > 0 || gradient[m]! < 0);
  const direction = new Float64Array(weights.length);
  if (free.length === 0) return { direction, decrease: 0 };
  const system = createMatrix(free.length, free.length);
  const right = createMatrix(free.length, 1);
  const largest = Math.max(...free.map((m) => hessian.data[m * weights.length + m]!));
  for (const [i, m] of free.entries()) {
    for (const [j, n] of free.entries()) {
      system.data[i * free.length + j] = hessian.data[m * weights.length + n]!;
    }
    // Members that say the same have no unique weights; this much curvature picks one without moving the others.
    system.data[i * free.length + i] = system.data[i * free.length + i]! + 1e-9 * largest + 1e-12;
    right.data[i] = -gradient[m]!;
  }
  const solution = choleskySolve(cholesky(system), right);
  let decrease = 0;
  for (const [i, m] of free.entries()) {
    direction[m] = solution.data[i]!;
    decrease -= 0.5 * direction[m]! * gradient[m]!;
  }
  return { direction, decrease };
}

async function evaluate(
  positions: PoolPositions,
  members: number,
  weights: Float64Array,
  observe: (position: PoolPosition) => void = () => {},
): Promise<Evaluation> {
  const gradient = new Float64Array(weights.length);
  const hessian = createMatrix(weights.length, weights.length);
  const features = weights.length / members;
  let nll = 0;
  let count = 0;
  let pooled = new Float64Array(0);
  for await (const position of positions()) {
    const size = position.logits[0]?.length ?? 0;
    const phi = position.features ?? ONE;
    checkPosition(position, members, size, count);
    if (phi.length !== features) {
      throw new RangeError(`fitPoolWeights: position ${count} needs ${features} features, got ${phi.length}`);
    }
    if (pooled.length !== size) pooled = new Float64Array(size);
    const loss = poolPosition(position, weightsHere(weights, phi, members), pooled);
    nll += loss;
    addDerivatives(position, pooled, phi, gradient, hessian);
    if (![nll, ...gradient].every(Number.isFinite)) {
      throw new RangeError(`fitPoolWeights: position ${count} has a logit that is not finite`);
    }
    observe(position);
    count += 1;
  }
  if (count === 0) throw new RangeError("fitPoolWeights: expected positions, got none");
  return {
    nll: nll / count,
    gradient: gradient.map((x) => x / count),
    hessian: { ...hessian, data: hessian.data.map((x) => x / count) },
    positions: count,
  };
}

const ONE: readonly number[] = [1];

/** w_m = Σ_c w_mc φ_c (m). */
function weightsHere(weights: Float64Array, phi: readonly number[], members: number): Float64Array {
  return Float64Array.from({ length: members }, (_, m) =>
    phi.reduce((sum, x, c) => sum + weights[m * phi.length + c]! * x, 0),
  );
}

function checkPosition({ logits, token }: PoolPosition, members: number, size: number, index: number): void {
  if (logits.length !== members || logits.some((row) => row.length !== size)) {
    throw new RangeError(
      `fitPoolWeights: position ${index} needs ${members} rows of one length, got (${logits.map((row) => row.length).join(", ")})`,
    );
  }
  if (!(token >= 0 && token < size)) {
    throw new RangeError(`fitPoolWeights: position ${index} has token ${token}, outside 0 to ${size - 1}`);
  }
}

/** Fills `pooled` (V) with p and returns −ln p(token). Logits count from the true token's, so that large common parts cancel. */
function poolPosition({ logits, token }: PoolPosition, weights: Float64Array, pooled: Float64Array): number {
  pooled.fill(0);
  for (const [m, row] of logits.entries()) {
    const weight = weights[m]!;
    const reference = row[token]!;
    for (let v = 0; v < pooled.length; v++) pooled[v] = pooled[v]! + weight * (row[v]! - reference);
  }
  let largest = Number.NEGATIVE_INFINITY;
  for (let v = 0; v < pooled.length; v++) largest = Math.max(largest, pooled[v]!);
  let sum = 0;
  for (let v = 0; v < pooled.length; v++) {
    pooled[v] = expNonPositive(pooled[v]! - largest);
    sum += pooled[v]!;
  }
  for (let v = 0; v < pooled.length; v++) pooled[v] = pooled[v]! / sum;
  return largest + Math.log(sum);
}

/** gradient += E_p[δ] ⊗ φ, hessian += (E_p[δδᵀ] − E_p[δ]E_p[δ]ᵀ) ⊗ φφᵀ, δ_m(v) = l_m(v) − l_m(token). */
function addDerivatives(
  { logits, token }: PoolPosition,
  p: Float64Array,
  phi: readonly number[],
  gradient: Float64Array,
  hessian: Matrix,
): void {
  const means = logits.map((row) => expectation(p, row, row[token]!));
  for (const [m, row] of logits.entries()) {
    for (const [c, x] of phi.entries()) gradient[m * phi.length + c]! += means[m]! * x;
    for (let n = 0; n <= m; n++) {
      const other = logits[n]!;
      const product = productExpectation(p, row, row[token]!, other, other[token]!);
      const covariance = product - means[m]! * means[n]!;
      addBlock(hessian, m, n, covariance, phi);
      if (n < m) addBlock(hessian, n, m, covariance, phi);
    }
  }
}

function addBlock(hessian: Matrix, m: number, n: number, covariance: number, phi: readonly number[]): void {
  for (const [c, x] of phi.entries()) {
    for (const [d, y] of phi.entries()) {
      hessian.data[(m * phi.length + c) * hessian.columns + n * phi.length + d]! += covariance * x * y;
    }
  }
}

/** E_p[x − x0]. */
function expectation(p: Float64Array, x: Float32Array, x0: number): number {
  let sum = 0;
  for (let v = 0; v < p.length; v++) sum += p[v]! * (x[v]! - x0);
  return sum;
}

/** E_p[(x − x0)(y − y0)]. */
function productExpectation(
  p: Float64Array,
  x: Float32Array,
  x0: number,
  y: Float32Array,
  y0: number,
): number {
  let sum = 0;
  for (let v = 0; v < p.length; v++) sum += p[v]! * (x[v]! - x0) * (y[v]! - y0);
  return sum;
}
