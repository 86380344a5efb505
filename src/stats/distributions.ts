import { expNonPositive } from "./exponential.ts";

/*
 * Categorical distributions given by their logits l (V): p_v = exp(l_v) / Σ exp(l). A logit of −∞ is a probability of 0.
 * Sums run in double precision; all results are in nats.
 */

/** Several distributions over the same outcomes, compared. */
export interface Comparison {
  /** JS = H(p̄) − (1/m) Σ H(p_k), p̄ = (1/m) Σ p_k; nats, in [0, ln m]. */
  readonly divergence: number;
  /** H(p_k) of each distribution (m), nats. */
  readonly entropies: readonly number[];
}

/** Index of the largest logit, the first one among equals. @throws RangeError when there is no largest: no logits, NaN, or all −∞ */
export function argMax(logits: Float32Array): number {
  let best = -1;
  let largest = Number.NEGATIVE_INFINITY;
  for (let v = 0; v < logits.length; v++) {
    if (logits[v]! > largest) {
      largest = logits[v]!;
      best = v;
    }
  }
  if (best < 0) throw degenerate("argMax", logits);
  return best;
}

/** ln Σ exp(l_v), nats. @throws RangeError when no logit is finite */
export function logSumExp(logits: Float32Array): number {
  const largest = finiteMaximum("logSumExp", logits);
  let sum = 0;
  for (let v = 0; v < logits.length; v++) sum += expNonPositive(logits[v]! - largest);
  return largest + Math.log(sum);
}

/** Turns logits into probabilities in place and returns ln Σ exp(l_v). @throws RangeError when no logit is finite */
export function softmax(logits: Float32Array): number {
  const logPartition = logSumExp(logits);
  for (let v = 0; v < logits.length; v++) logits[v] = expNonPositive(logits[v]! - logPartition);
  return logPartition;
}

/** Turns logits into log-probabilities in place and returns ln Σ exp(l_v). @throws RangeError when no logit is finite */
export function logSoftmax(logits: Float32Array): number {
  const logPartition = logSumExp(logits);
  for (let v = 0; v < logits.length; v++) logits[v] = logits[v]! - logPartition;
  return logPartition;
}

/**
 * ln Σ_e π_e p_e, of log-probabilities (e arrays of V) → (V), nats. A part whose share is 0 may hold anything.
 * Cost eV exponentials and V logarithms.
 * @throws RangeError when the lengths or the numbers of parts and shares differ
 */
export function logMixture(shares: readonly number[], parts: readonly Float32Array[]): Float32Array {
  const size = parts[0]?.length ?? 0;
  if (shares.length !== parts.length || parts.some((part) => part.length !== size)) {
    throw new RangeError(
      `logMixture: ${shares.length} shares do not fit arrays of (${parts.map((part) => part.length).join(", ")})`,
    );
  }
  const sums = new Float64Array(size);
  for (const [e, part] of parts.entries()) {
    const share = shares[e]!;
    if (share === 0) continue;
    for (let v = 0; v < size; v++) sums[v] = sums[v]! + share * expNonPositive(part[v]!);
  }
  const mixed = new Float32Array(size);
  for (let v = 0; v < size; v++) mixed[v] = Math.log(sums[v]!);
  return mixed;
}

/** H(p) = −Σ p_v ln p_v, nats, in [0, ln V]. @throws RangeError when no logit is finite */
export function entropy(logits: Float32Array): number {
  const largest = finiteMaximum("entropy", logits);
  let sum = 0;
  let weighted = 0;
  for (let v = 0; v < logits.length; v++) {
    const e = expNonPositive(logits[v]! - largest);
    sum += e;
    if (e > 0) weighted += e * (logits[v]! - largest);
  }
  return Math.max(0, Math.log(sum) - weighted / sum);
}

/**
 * KL(p ‖ q) = Σ p_v (ln p_v − ln q_v), nats, >= 0; infinite where q lacks an outcome that p has.
 * @throws RangeError when the lengths differ or no logit is finite
 */
export function klDivergence(p: Float32Array, q: Float32Array): number {
  if (p.length !== q.length) {
    throw new RangeError(`klDivergence: p (${p.length}) and q (${q.length}) differ in length`);
  }
  const offset = logSumExp(p);
  const difference = offset - logSumExp(q);
  let sum = 0;
  for (let v = 0; v < p.length; v++) {
    const probability = expNonPositive(p[v]! - offset);
    if (probability > 0) sum += probability * (p[v]! - q[v]! - difference);
  }
  return Math.max(0, sum);
}

/**
 * Jensen–Shannon divergence of m distributions with equal weights, and the entropy of each, which it needs on the way.
 * Rows: m arrays of V logits. Cost mV exponentials and V logarithms (about 1.5 ms at V = 49,152, m = 2). Lin 1991.
 * @throws RangeError when there is no row, the lengths differ or a row has no finite logit
 */
export function jensenShannon(rows: readonly Float32Array[]): Comparison {
  const size = rows[0]?.length ?? 0;
  if (rows.length === 0 || rows.some((row) => row.length !== size)) {
    throw new RangeError(
      `jensenShannon: expected rows of one length, got (${rows.map((row) => row.length).join(", ")})`,
    );
  }
  const exponentials = new Float64Array(size);
  const mean = new Float64Array(size);
  const entropies = rows.map((row) => addDistribution(row, 1 / rows.length, exponentials, mean));
  let mixed = 0;
  for (let v = 0; v < size; v++) {
    const p = mean[v]!;
    if (p > 0) mixed -= p * Math.log(p);
  }
  const average = entropies.reduce((sum, h) => sum + h, 0) / rows.length;
  return { divergence: Math.min(Math.log(rows.length), Math.max(0, mixed - average)), entropies };
}

/** mean += share · p, and returns H(p). `exponentials` is working space (V). */
function addDistribution(
  logits: Float32Array,
  share: number,
  exponentials: Float64Array,
  mean: Float64Array,
): number {
  const largest = finiteMaximum("jensenShannon", logits);
  let sum = 0;
  let weighted = 0;
  for (let v = 0; v < logits.length; v++) {
    const e = expNonPositive(logits[v]! - largest);
    exponentials[v] = e;
    sum += e;
    if (e > 0) weighted += e * (logits[v]! - largest);
  }
  const factor = share / sum;
  for (let v = 0; v < logits.length; v++) mean[v] = mean[v]! + factor * exponentials[v]!;
  return Math.max(0, Math.log(sum) - weighted / sum);
}

function finiteMaximum(name: string, logits: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let v = 0; v < logits.length; v++) if (logits[v]! > largest) largest = logits[v]!;
  if (!Number.isFinite(largest)) throw degenerate(name, logits);
  return largest;
}

function degenerate(name: string, logits: Float32Array): RangeError {
  return new RangeError(
    `${name}: expected at least one finite logit and none of +∞ or only NaN among ${logits.length}`,
  );
}
