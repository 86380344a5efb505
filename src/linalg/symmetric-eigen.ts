import { createMatrix, type Matrix, shape } from "./matrix.ts";
import { reflectorProduct, tridiagonalise } from "./tridiagonal.ts";

/** A = V diag(values) Vᵀ. */
export interface SymmetricEigen {
  /** Eigenvalues (n), largest first. */
  readonly values: Float64Array;
  /** V (n, n): column j belongs to `values[j]`. Orthonormal; each column's entry of largest size is positive. */
  readonly vectors: Matrix;
}

/** Rotations are held back and applied this many sweeps at a time, so that V passes through the cache once for all of them. */
const SWEEPS_AT_ONCE = 64;
/** QL needs about 1.7 sweeps an eigenvalue; this many for one means that it will not converge. */
const MAX_SWEEPS = 60;

/**
 * Eigenvalues and eigenvectors of a symmetric matrix. A (n, n), of which the lower triangle is read.
 * Householder tridiagonalisation, then QL with implicit Wilkinson shifts (Golub & Van Loan, ch. 8.3).
 * Cost about 9n³ operations. Absolute accuracy of the values: a few n·ε·max|λ|; eigenvectors of equal eigenvalues
 * are some basis of their common space. Equal inputs give equal bits.
 * @throws RangeError when A is not square or holds a number that is not finite
 */
export function symmetricEigen(a: Matrix): SymmetricEigen {
  if (a.rows !== a.columns) throw new RangeError(`symmetricEigen: expected a square matrix, got ${shape(a)}`);
  const bad = a.data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) {
    throw new RangeError(
      `symmetricEigen: A ${shape(a)} holds ${a.data[bad]} at row ${Math.floor(bad / a.columns)}, column ${bad % a.columns}`,
    );
  }
  const { diagonal, offDiagonal, reflectors, scales } = tridiagonalise(a);
  const vectors = reflectorProduct(reflectors, scales);
  diagonaliseTridiagonal(diagonal, offDiagonal, vectors);
  return sorted(diagonal, vectors);
}

/** Sweeps whose rotations have not reached V yet. Sweep s turns the column pairs (i, i+1) for i from `from[s]` down to `to[s]`. */
interface PendingSweeps {
  count: number;
  used: number;
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly cosines: Float64Array;
  readonly sines: Float64Array;
}

/** QL on T: `d` (n) becomes the eigenvalues, `e` (n; e[i] couples i and i+1) is used up, V becomes V times T's eigenvectors. */
function diagonaliseTridiagonal(d: Float64Array, e: Float64Array, vectors: Matrix): void {
  const n = d.length;
  const pending: PendingSweeps = {
    count: 0,
    used: 0,
    from: new Int32Array(SWEEPS_AT_ONCE),
    to: new Int32Array(SWEEPS_AT_ONCE),
    cosines: new Float64Array(SWEEPS_AT_ONCE * n),
    sines: new Float64Array(SWEEPS_AT_ONCE * n),
  };
  for (let l = 0; l < n; l++) {
    for (let sweeps = 0; ; sweeps++) {
      let m = l;
      while (m < n - 1 && !negligible(d, e, m)) m++;
      if (m === l) break;
      if (sweeps === MAX_SWEEPS) {
        throw new RangeError(`symmetricEigen: eigenvalue ${l} of ${n} did not converge in ${sweeps} sweeps`);
      }
      sweep(d, e, l, m, pending);
      if (pending.count === SWEEPS_AT_ONCE) applySweeps(vectors, pending);
    }
  }
  applySweeps(vectors, pending);
}

/** Whether T falls apart between m and m+1. */
function negligible(d: Float64Array, e: Float64Array, m: number): boolean {
  return Math.abs(e[m]!) <= Number.EPSILON * (Math.abs(d[m]!) + Math.abs(d[m + 1]!));
}

/** One implicit QL sweep over rows l to m of T; its rotations are noted in `pending`. */
function sweep(d: Float64Array, e: Float64Array, l: number, m: number, pending: PendingSweeps): void {
  let g = (d[l + 1]! - d[l]!) / (2 * e[l]!);
  let r = Math.hypot(g, 1);
  g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? r : -r));
  let s = 1;
  let c = 1;
  let p = 0;
  let i = m - 1;
  for (; i >= l; i--) {
    const f = s * e[i]!;
    const b = c * e[i]!;
    r = Math.sqrt(f * f + g * g);
    e[i + 1] = r;
    if (r === 0) {
      // The sweep ran into a zero: T has fallen apart here, and the rotations so far stand.
      d[i + 1] = d[i + 1]! - p;
      e[m] = 0;
      break;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1]! - p;
    const t = (d[i]! - g) * s + 2 * c * b;
    p = s * t;
    d[i + 1] = g + p;
    g = c * t - b;
    pending.cosines[pending.used] = c;
    pending.sines[pending.used++] = s;
  }
  if (i < l) {
    d[l] = d[l]! - p;
    e[l] = g;
    e[m] = 0;
  }
  pending.from[pending.count] = m - 1;
  pending.to[pending.count++] = i + 1;
}

/** Applies the held-back rotations to the columns of V and forgets them. Four rows of V at a time stay in the cache for all sweeps. */
function applySweeps(vectors: Matrix, pending: PendingSweeps): void {
  const n = vectors.columns;
  const v = vectors.data;
  let row = 0;
  for (; row + 3 < vectors.rows; row += 4) {
    let at = 0;
    for (let s = 0; s < pending.count; s++) {
      turnFourRows(v, row * n, n, pending, at, pending.from[s]!, pending.to[s]!);
      at += pending.from[s]! - pending.to[s]! + 1;
    }
  }
  for (; row < vectors.rows; row++) {
    let at = 0;
    for (let s = 0; s < pending.count; s++) {
      turnRow(v, row * n, pending, at, pending.from[s]!, pending.to[s]!);
      at += pending.from[s]! - pending.to[s]! + 1;
    }
  }
  pending.count = 0;
  pending.used = 0;
}

/** (v_i, v_{i+1}) ← (c v_i − s v_{i+1}, s v_i + c v_{i+1}) for i = from … to; what one step leaves in v_i the next one needs. */
function turnRow(
  v: Float64Array,
  start: number,
  pending: PendingSweeps,
  first: number,
  from: number,
  to: number,
): void {
  const { cosines, sines } = pending;
  let x = v[start + from + 1]!;
  for (let i = from, k = first; i >= to; i--, k++) {
    const c = cosines[k]!;
    const s = sines[k]!;
    const y = v[start + i]!;
    v[start + i + 1] = s * y + c * x;
    x = c * y - s * x;
  }
  v[start + to] = x;
}

/** `turnRow` for four neighbouring rows at once: four independent chains keep the arithmetic units busy. */
function turnFourRows(
  v: Float64Array,
  start: number,
  n: number,
  pending: PendingSweeps,
  first: number,
  from: number,
  to: number,
): void {
  const { cosines, sines } = pending;
  const start1 = start + n,
    start2 = start + 2 * n,
    start3 = start + 3 * n;
  let x0 = v[start + from + 1]!,
    x1 = v[start1 + from + 1]!;
  let x2 = v[start2 + from + 1]!,
    x3 = v[start3 + from + 1]!;
  for (let i = from, k = first; i >= to; i--, k++) {
    const c = cosines[k]!,
      s = sines[k]!;
    const y0 = v[start + i]!,
      y1 = v[start1 + i]!,
      y2 = v[start2 + i]!,
      y3 = v[start3 + i]!;
    v[start + i + 1] = s * y0 + c * x0;
    v[start1 + i + 1] = s * y1 + c * x1;
    v[start2 + i + 1] = s * y2 + c * x2;
    v[start3 + i + 1] = s * y3 + c * x3;
    x0 = c * y0 - s * x0;
    x1 = c * y1 - s * x1;
    x2 = c * y2 - s * x2;
    x3 = c * y3 - s * x3;
  }
  v[start + to] = x0;
  v[start1 + to] = x1;
  v[start2 + to] = x2;
  v[start3 + to] = x3;
}

/** Largest value first, each column with its entry of largest size made positive. */
function sorted(values: Float64Array, vectors: Matrix): SymmetricEigen {
  const n = values.length;
  const order = Array.from(values.keys()).sort((i, j) => values[j]! - values[i]! || i - j);
  const largest = new Float64Array(n);
  for (let row = 0; row < n; row++) {
    for (let j = 0; j < n; j++) {
      const x = vectors.data[row * n + j]!;
      if (Math.abs(x) > Math.abs(largest[j]!)) largest[j] = x;
    }
  }
  const result = createMatrix(n, n);
  for (let row = 0; row < n; row++) {
    for (let j = 0; j < n; j++) {
      const from = order[j]!;
      const x = vectors.data[row * n + from]!;
      result.data[row * n + j] = largest[from]! < 0 ? -x : x;
    }
  }
  return { values: Float64Array.from(order, (i) => values[i]!), vectors: result };
}
