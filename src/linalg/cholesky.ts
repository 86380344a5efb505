import { createMatrix, type Matrix, shape } from "./matrix.ts";

/**
 * Cholesky factor L of A = L Lᵀ. A (n, n) symmetric positive definite, only its lower triangle is read → L (n, n)
 * lower triangular. Row by row (Cholesky–Banachiewicz), cost n³/3.
 * @throws RangeError when A is not square or not positive definite
 */
export function cholesky(a: Matrix): Matrix {
  if (a.rows !== a.columns) throw new RangeError(`cholesky: expected a square matrix, got ${shape(a)}`);
  const n = a.rows;
  const factor = createMatrix(n, n);
  const l = factor.data;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      l[i * n + j] = (a.data[i * n + j]! - dotRows(l, i * n, j * n, j)) / l[j * n + j]!;
    }
    const pivot = a.data[i * n + i]! - dotRows(l, i * n, i * n, i);
    if (!(pivot > 0)) {
      throw new RangeError(
        `cholesky: A ${shape(a)} is not positive definite: pivot ${i} is ${pivot}; add a ridge to its diagonal`,
      );
    }
    l[i * n + i] = Math.sqrt(pivot);
  }
  return factor;
}

/**
 * X with L Lᵀ X = B, from the factor L of `cholesky`. L (n, n), B (n, r) → X (n, r). Forward then backward
 * substitution, cost 2n²r.
 * @throws RangeError when L is not (n, n)
 */
export function choleskySolve(factor: Matrix, b: Matrix): Matrix {
  const n = b.rows;
  if (factor.rows !== n || factor.columns !== n) {
    throw new RangeError(`choleskySolve: L ${shape(factor)} does not fit B ${shape(b)}`);
  }
  const x = createMatrix(n, b.columns);
  x.data.set(b.data);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) subtractRow(x, i, j, factor.data[i * n + j]!);
    divideRow(x, i, factor.data[i * n + i]!);
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let j = i + 1; j < n; j++) subtractRow(x, i, j, factor.data[j * n + i]!);
    divideRow(x, i, factor.data[i * n + i]!);
  }
  return x;
}

/** Four running sums hide the latency of the additions. */
function dotRows(data: Float64Array, x: number, y: number, count: number): number {
  let s0 = 0,
    s1 = 0,
    s2 = 0,
    s3 = 0;
  let k = 0;
  for (; k + 3 < count; k += 4) {
    s0 += data[x + k]! * data[y + k]!;
    s1 += data[x + k + 1]! * data[y + k + 1]!;
    s2 += data[x + k + 2]! * data[y + k + 2]!;
    s3 += data[x + k + 3]! * data[y + k + 3]!;
  }
  for (; k < count; k++) s0 += data[x + k]! * data[y + k]!;
  return s0 + s1 + (s2 + s3);
}

function subtractRow(x: Matrix, target: number, source: number, factor: number): void {
  const width = x.columns;
  for (let c = 0; c < width; c++) {
    x.data[target * width + c] = x.data[target * width + c]! - factor * x.data[source * width + c]!;
  }
}

function divideRow(x: Matrix, row: number, divisor: number): void {
  for (let c = row * x.columns; c < (row + 1) * x.columns; c++) x.data[c] = x.data[c]! / divisor;
}
