import { createMatrix, firstColumns, type Matrix, rowBlock, shape } from "../linalg/matrix.ts";
import { multiply, multiplyTN } from "../linalg/product.ts";
import { symmetricEigen } from "../linalg/symmetric-eigen.ts";
import { symmetricPower } from "../linalg/symmetric-power.ts";
import { type Progress, silentProgress } from "../ports/progress.ts";
import { createMoments } from "../stats/moments.ts";

/*
 * A shared space of m members in closed form.
 *
 * Member m reads a text into a final state h (d_m) and gives row t of the decoder, a token, the logit
 *   l_m(t) = U_m[t]·h + b_m[t].
 * With x = h − μ_m, row bias β_m = U_m μ_m + b_m and Ū_m = U_m − 1 ū_mᵀ, ū_m = Σ_t D_t U_m[t],
 *   l_m = Ū_m x + β_m + (ū_m·x) 1,
 * and a softmax does not see the last term, which is one number for all tokens.
 *
 * The stack M = [a_1 Ū_1 C_1^½ … a_m Ū_m C_m^½] (R, Σd) says how much each direction of each (whitened) state moves each
 * row's logit. Its best approximation of rank k, rows weighted by D, is M ≈ M v vᵀ with v (Σd, k) the leading
 * eigenvectors of MᵀDM and λ (k) their eigenvalues. Cut into the members' rows v_m (d_m, k):
 *   decoder     E = Σ_m Ū_m S_m = M v λ^−½,   S_m = a_m C_m^½ v_m λ^−½        (d_m, k)
 *   projection  z_m = P_mᵀ (h_m − μ_m),       P_m = (1/a_m) C_m^−½ v_m λ^½    (d_m, k)
 *   E z_m ≈ Ū_m x, because M v v_mᵀ ≈ a_m Ū_m C_m^½.
 * EᵀDE = I: distances and angles between shared states are those between the logits they decode to, rows weighted by D.
 * At k = Σd, v vᵀ = I and the last line is an equality, whatever the scales a_m and the floor under C's eigenvalues: each
 * member's distribution survives exactly, and Σ w_m z_m with the bias Σ w_m β_m decodes to the log-linear pool Σ w_m l_m.
 * The scales only say whose logits the k dimensions should serve first.
 */

/** What the fit needs to know of one member. */
export interface JointMember {
  /** d_m. */
  readonly width: number;
  /** Rows `first` to `first + count` of U_m (R, d_m), row-major (count, d_m). */
  readonly rows: (first: number, count: number) => Float32Array;
  /** b_m (R): added to the logits, where some rows are not read. Absent: 0. */
  readonly rowOffset?: Float32Array | undefined;
  /** μ_m (d_m) of the member's final states. */
  readonly mean: Float64Array;
  /** C_m (d_m, d_m) of the member's final states. */
  readonly covariance: Matrix;
  /** a_m > 0: how much this member's logits count when k is too small for all. */
  readonly scale: number;
}

export interface JointSvdOptions {
  /** Smallest eigenvalue of a covariance, as a share of its largest. Default 1e-6. */
  readonly eigenvalueFloor?: number | undefined;
  readonly progress?: Progress | undefined;
}

/** The decomposition at full rank: every dimension k can be cut from it. */
export interface JointSvd {
  /** Eigenvalues of MᵀDM (Σd), largest first: the weighted logit variance each dimension carries. */
  readonly eigenvalues: Float64Array;
  /** Columns v (Σd, Σd). */
  readonly vectors: Matrix;
  readonly members: readonly JointSvdMember[];
}

export interface JointSvdMember {
  readonly scale: number;
  /** μ_m (d_m). */
  readonly mean: Float64Array;
  /** ū_m (d_m): the weighted mean row. */
  readonly meanRow: Float64Array;
  /** C_m^½ and C_m^−½ (d_m, d_m), with the floor. */
  readonly root: Matrix;
  readonly inverseRoot: Matrix;
  /** β_m = U_m μ_m + b_m (R). */
  readonly rowBias: Float32Array;
}

/** The linear maps of a shared space of dimension k. */
export interface SharedMaps {
  readonly dimension: number;
  /** Σ_m S_mᵀ ū_m (k): E[t] = Σ_m S_mᵀ U_m[t] − this. */
  readonly decoderCentre: Float64Array;
  /** P_m and S_m of each member, both (d_m, k). */
  readonly members: readonly { readonly projection: Matrix; readonly factor: Matrix }[];
}

/** Rows of the stack in memory at once. */
const BLOCK_ROWS = 512;

/**
 * Weights of the decoder's rows for the fit: D_t ∝ (n_t + ½)^¾, Σ D = 1, from how often each token came in the fit text.
 * The ½ keeps tokens that never came in the fit; the ¾ keeps frequent ones from deciding it alone.
 */
export function tokenWeights(counts: ArrayLike<number>): Float64Array {
  const weights = Float64Array.from(counts, (count) => (count + 0.5) ** 0.75);
  const sum = weights.reduce((total, w) => total + w, 0);
  return weights.map((w) => w / sum);
}

/**
 * The weighted joint SVD of the members' decoder rows (the algebra stands at the top of this file).
 * `weights` D (R), Σ D > 0; each member's rows are read once, block by block, so that no (R, Σd) matrix is held.
 * Cost R(Σd)² for the Gram matrix, then about 9(Σd)³. At R = 49,152 and Σd = 1,216: some 20 s and 6 s.
 * @throws RangeError when a member's shapes do not fit its width, its scale is not positive, or a covariance is 0
 */
export function jointSvd(
  members: readonly JointMember[],
  weights: Float64Array,
  options: JointSvdOptions = {},
): JointSvd {
  for (const [m, member] of members.entries()) checkMember(member, m, weights.length);
  const { scatter, meanRow, rowBiases } = readRows(members, weights, options.progress ?? silentProgress);
  const starts = firstColumn(members);
  const fitted = members.map((member, m): JointSvdMember => {
    const eigen = symmetricEigen(member.covariance);
    const floor = options.eigenvalueFloor ?? 1e-6;
    return {
      scale: member.scale,
      mean: member.mean.slice(),
      meanRow: meanRow.slice(starts[m]!, starts[m]! + member.width),
      root: symmetricPower(eigen, 0.5, floor),
      inverseRoot: symmetricPower(eigen, -0.5, floor),
      rowBias: rowBiases[m]!,
    };
  });
  const { values, vectors } = symmetricEigen(whitened(scatter, fitted, starts));
  return { eigenvalues: values, vectors, members: fitted };
}

/** Share of the stack's weighted variance that the first k dimensions carry: entry k − 1, for k = 1 … Σd. */
export function explainedVariance(svd: JointSvd): Float64Array {
  const positive = svd.eigenvalues.map((value) => Math.max(0, value));
  const total = positive.reduce((sum, value) => sum + value, 0);
  let sum = 0;
  return positive.map((value) => (sum += value) / total);
}

/** The maps of the best shared space of dimension k. Cost 4k Σd_m². @throws RangeError unless 1 <= k <= Σd */
export function sharedMaps(svd: JointSvd, dimension: number): SharedMaps {
  if (!Number.isInteger(dimension) || dimension < 1 || dimension > svd.vectors.rows) {
    throw new RangeError(`sharedMaps: expected a dimension from 1 to ${svd.vectors.rows}, got ${dimension}`);
  }
  const leading = firstColumns(svd.vectors, dimension);
  // Dimensions that carry nothing would be blown up without end; the floor leaves them small.
  const floor = 1e-12 * svd.eigenvalues[0]!;
  const roots = svd.eigenvalues.map((value) => Math.sqrt(Math.max(value, floor)));
  const decoderCentre = new Float64Array(dimension);
  let start = 0;
  const members = svd.members.map(({ scale, root, inverseRoot, meanRow }) => {
    const v = rowBlock(leading, start, root.rows);
    start += root.rows;
    const factor = scaled(
      scaledColumns(multiply(root, v), (j) => 1 / roots[j]!),
      scale,
    );
    const centre = multiplyTN(factor, { rows: meanRow.length, columns: 1, data: meanRow });
    for (let j = 0; j < dimension; j++) decoderCentre[j] = decoderCentre[j]! + centre.data[j]!;
    const projection = scaled(
      scaledColumns(multiply(inverseRoot, v), (j) => roots[j]!),
      1 / scale,
    );
    return { projection, factor };
  });
  return { dimension, decoderCentre, members };
}

function checkMember(member: JointMember, m: number, rows: number): void {
  const { width, mean, covariance, rowOffset, scale } = member;
  if (mean.length !== width || covariance.rows !== width || covariance.columns !== width) {
    throw new RangeError(
      `jointSvd: member ${m} of width ${width} has mean (${mean.length}) and covariance ${shape(covariance)}`,
    );
  }
  if (rowOffset !== undefined && rowOffset.length !== rows) {
    throw new RangeError(`jointSvd: member ${m} has ${rowOffset.length} row offsets for ${rows} rows`);
  }
  if (!(scale > 0))
    throw new RangeError(`jointSvd: member ${m} needs a scale > 0, got ${scale}; leave it out instead`);
}

/** Column of the stack at which each member begins. */
function firstColumn(members: readonly JointMember[]): number[] {
  let start = 0;
  return members.map(({ width }) => {
    start += width;
    return start - width;
  });
}

/** One pass over all decoder rows: weighted mean and covariance of the raw stack [U_1 … U_m], and every β_m. */
function readRows(
  members: readonly JointMember[],
  weights: Float64Array,
  progress: Progress,
): { scatter: Matrix; meanRow: Float64Array; rowBiases: Float32Array[] } {
  const total = members.reduce((sum, { width }) => sum + width, 0);
  const moments = createMoments(total);
  const starts = firstColumn(members);
  const rowBiases = members.map(({ rowOffset }) => rowOffset?.slice() ?? new Float32Array(weights.length));
  progress.stage("reading decoder rows", weights.length, "steps");
  for (let first = 0; first < weights.length; first += BLOCK_ROWS) {
    const count = Math.min(BLOCK_ROWS, weights.length - first);
    const stack = createMatrix(count, total);
    for (const [m, member] of members.entries()) {
      const rows = member.rows(first, count);
      if (rows.length !== count * member.width) {
        throw new RangeError(
          `jointSvd: member ${m} gave ${rows.length} numbers for ${count} rows of width ${member.width}`,
        );
      }
      place(stack, starts[m]!, rows, member.width);
      addProducts(rowBiases[m]!, first, rows, member.mean);
    }
    moments.add(stack.data, weights.subarray(first, first + count));
    progress.update(first + count);
  }
  progress.finish();
  const { covariance, mean } = moments.result();
  return { scatter: covariance, meanRow: mean, rowBiases };
}

/** Copies rows (count, width) into the columns of the stack from `start` on. */
function place(stack: Matrix, start: number, rows: Float32Array, width: number): void {
  for (let i = 0; i < stack.rows; i++) {
    stack.data.set(rows.subarray(i * width, (i + 1) * width), i * stack.columns + start);
  }
}

/** target[first + i] += rows[i]·x. */
function addProducts(target: Float32Array, first: number, rows: Float32Array, x: Float64Array): void {
  const width = x.length;
  for (let i = 0, at = 0; at < rows.length; i++, at += width) {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += rows[at + j]! * x[j]!;
    target[first + i] = target[first + i]! + sum;
  }
}

/** MᵀDM: the stack's covariance with block (m, n) turned into a_m a_n C_m^½ K_mn C_n^½. */
function whitened(scatter: Matrix, members: readonly JointSvdMember[], starts: readonly number[]): Matrix {
  const result = createMatrix(scatter.rows, scatter.columns);
  for (const [m, left] of members.entries()) {
    for (const [n, right] of members.entries()) {
      const raw = cut(scatter, starts[m]!, left.root.rows, starts[n]!, right.root.rows);
      const block = scaled(multiply(multiply(left.root, raw), right.root), left.scale * right.scale);
      for (let i = 0; i < block.rows; i++) {
        const row = block.data.subarray(i * block.columns, (i + 1) * block.columns);
        result.data.set(row, (starts[m]! + i) * result.columns + starts[n]!);
      }
    }
  }
  return result;
}

function cut(a: Matrix, row: number, rows: number, column: number, columns: number): Matrix {
  const result = createMatrix(rows, columns);
  for (let i = 0; i < rows; i++) {
    const at = (row + i) * a.columns + column;
    result.data.set(a.data.subarray(at, at + columns), i * columns);
  }
  return result;
}

function scaledColumns(a: Matrix, factor: (column: number) => number): Matrix {
  return { ...a, data: a.data.map((x, at) => x * factor(at % a.columns)) };
}

function scaled(a: Matrix, factor: number): Matrix {
  return { ...a, data: a.data.map((x) => x * factor) };
}
