import { createMatrix, type Matrix } from "./matrix.ts";

/** A = Q T Qᵀ with T tridiagonal and Q = H_{n−1} … H_1, each H_i = I − u_i u_iᵀ / scales[i]. */
export interface Tridiagonal {
  /** T's diagonal (n). */
  readonly diagonal: Float64Array;
  /** Entry i couples i and i+1 (n; the last is 0). */
  readonly offDiagonal: Float64Array;
  /** Row i holds u_i in its first i entries (n, n). */
  readonly reflectors: Matrix;
  /** |u_i|² / 2 (n); 0 where row i needed no reflection. */
  readonly scales: Float64Array;
}

/**
 * Householder tridiagonalisation of a symmetric matrix, from the last row up; A (n, n), of which the lower triangle
 * is read. Cost 4n³/3. Golub & Van Loan, algorithm 8.3.1, with the triangle in place of the square.
 */
export function tridiagonalise(a: Matrix): Tridiagonal {
  const n = a.rows;
  const work: Matrix = { rows: n, columns: n, data: a.data.slice() };
  const offDiagonal = new Float64Array(n);
  const scales = new Float64Array(n);
  const image = new Float64Array(n);
  for (let i = n - 1; i >= 1; i--) {
    const u = work.data.subarray(i * n, i * n + i);
    offDiagonal[i - 1] = reflector(u, scales, i);
    const scale = scales[i]!;
    if (scale === 0) continue;
    timesTriangle(work, i, u, image);
    let projection = 0;
    for (let j = 0; j < i; j++) {
      image[j] = image[j]! / scale;
      projection += image[j]! * u[j]!;
    }
    const shift = projection / (2 * scale);
    for (let j = 0; j < i; j++) image[j] = image[j]! - shift * u[j]!;
    subtractRankTwo(work, i, u, image);
  }
  const diagonal = Float64Array.from({ length: n }, (_, i) => work.data[i * n + i]!);
  return { diagonal, offDiagonal, reflectors: work, scales };
}

/** Q (n, n) of the reflections. Cost 4n³/3. */
export function reflectorProduct(reflectors: Matrix, scales: Float64Array): Matrix {
  const n = reflectors.rows;
  const q = createMatrix(n, n);
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    q.data[i * n + i] = 1;
    const scale = scales[i]!;
    if (scale === 0) continue;
    const u = reflectors.data.subarray(i * n, i * n + i);
    sumRows(q, i, u, sums);
    for (let j = 0; j < i; j++) sums[j] = sums[j]! / scale;
    subtractOuter(q, i, u, sums);
  }
  return q;
}

/** Turns x into u = x − g·(0, …, 0, 1) in place, g = ∓|x|; notes |u|²/2 in `scales[i]` and returns g, x's new last entry. */
function reflector(x: Float64Array, scales: Float64Array, i: number): number {
  const last = x.length - 1;
  let largest = 0;
  for (let j = 0; j < last; j++) largest = Math.max(largest, Math.abs(x[j]!));
  if (largest === 0) return x[last]!;
  largest = Math.max(largest, Math.abs(x[last]!));
  // Squares of very large or small entries would leave the range of doubles; u may be scaled at will.
  let squares = 0;
  for (let j = 0; j <= last; j++) {
    x[j] = x[j]! / largest;
    squares += x[j]! * x[j]!;
  }
  const tail = x[last]!;
  const g = tail >= 0 ? -Math.sqrt(squares) : Math.sqrt(squares);
  x[last] = tail - g;
  scales[i] = squares - tail * g;
  return g * largest;
}

/** image = S u for the symmetric S (m, m) at the top left of `work`, of which only the lower triangle is read. */
function timesTriangle(work: Matrix, m: number, u: Float64Array, image: Float64Array): void {
  const n = work.columns;
  const s = work.data;
  image.fill(0, 0, m);
  let row = 0;
  for (; row + 3 < m; row += 4) {
    const r0 = row * n,
      r1 = r0 + n,
      r2 = r1 + n,
      r3 = r2 + n;
    const u0 = u[row]!,
      u1 = u[row + 1]!,
      u2 = u[row + 2]!,
      u3 = u[row + 3]!;
    let d0 = 0,
      d1 = 0,
      d2 = 0,
      d3 = 0;
    for (let k = 0; k < row; k++) {
      const uk = u[k]!;
      const a0 = s[r0 + k]!,
        a1 = s[r1 + k]!,
        a2 = s[r2 + k]!,
        a3 = s[r3 + k]!;
      d0 += a0 * uk;
      d1 += a1 * uk;
      d2 += a2 * uk;
      d3 += a3 * uk;
      image[k] = image[k]! + (a0 * u0 + a1 * u1 + (a2 * u2 + a3 * u3));
    }
    image[row] = d0;
    image[row + 1] = d1;
    image[row + 2] = d2;
    image[row + 3] = d3;
    for (let j = row; j < row + 4; j++) addTriangleRow(s, j * n, row, j, u, image);
  }
  for (; row < m; row++) addTriangleRow(s, row * n, 0, row, u, image);
}

/** Adds what row j's entries from column `first` to the diagonal give to S u. */
function addTriangleRow(
  s: Float64Array,
  start: number,
  first: number,
  j: number,
  u: Float64Array,
  image: Float64Array,
): void {
  let sum = s[start + j]! * u[j]!;
  for (let k = first; k < j; k++) {
    sum += s[start + k]! * u[k]!;
    image[k] = image[k]! + s[start + k]! * u[j]!;
  }
  image[j] = image[j]! + sum;
}

/** S −= u wᵀ + w uᵀ on the lower triangle of the (m, m) top left. */
function subtractRankTwo(work: Matrix, m: number, u: Float64Array, w: Float64Array): void {
  const n = work.columns;
  const s = work.data;
  for (let j = 0; j < m; j++) {
    const uj = u[j]!,
      wj = w[j]!;
    const start = j * n;
    for (let k = 0; k <= j; k++) s[start + k] = s[start + k]! - (uj * w[k]! + wj * u[k]!);
  }
}

/** sums = uᵀ Q over the (m, m) top left. */
function sumRows(q: Matrix, m: number, u: Float64Array, sums: Float64Array): void {
  const n = q.columns;
  const data = q.data;
  sums.fill(0, 0, m);
  let row = 0;
  for (; row + 3 < m; row += 4) {
    const r0 = row * n,
      r1 = r0 + n,
      r2 = r1 + n,
      r3 = r2 + n;
    const u0 = u[row]!,
      u1 = u[row + 1]!,
      u2 = u[row + 2]!,
      u3 = u[row + 3]!;
    for (let j = 0; j < m; j++) {
      sums[j] =
        sums[j]! + (u0 * data[r0 + j]! + u1 * data[r1 + j]! + (u2 * data[r2 + j]! + u3 * data[r3 + j]!));
    }
  }
  for (; row < m; row++) {
    const factor = u[row]!;
    for (let j = 0; j < m; j++) sums[j] = sums[j]! + factor * data[row * n + j]!;
  }
}

/** Q −= u sumsᵀ over the (m, m) top left. */
function subtractOuter(q: Matrix, m: number, u: Float64Array, sums: Float64Array): void {
  const n = q.columns;
  for (let row = 0; row < m; row++) {
    const factor = u[row]!;
    const start = row * n;
    for (let j = 0; j < m; j++) q.data[start + j] = q.data[start + j]! - factor * sums[j]!;
  }
}
