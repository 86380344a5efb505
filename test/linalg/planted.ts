import { createMatrix, type Matrix } from "../../src/linalg/matrix.ts";
import type { Random } from "../../src/linalg/random.ts";
import { symmetricEigen } from "../../src/linalg/symmetric-eigen.ts";

/** I (n, n). */
export function identity(n: number): Matrix {
  const matrix = createMatrix(n, n);
  for (let i = 0; i < n; i++) matrix.data[i * n + i] = 1;
  return matrix;
}

/** Aᵀ: A (n, d) → (d, n). */
export function transpose(a: Matrix): Matrix {
  const result = createMatrix(a.columns, a.rows);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.columns; j++) result.data[j * a.rows + i] = a.data[i * a.columns + j]!;
  }
  return result;
}

/** Independent standard normal entries (rows, columns). */
export function normalMatrix(random: Random, rows: number, columns: number): Matrix {
  const matrix = createMatrix(rows, columns);
  for (let i = 0; i < matrix.data.length; i++) matrix.data[i] = random.normal();
  return matrix;
}

/** A rotation (n, n): the eigenvectors of a random symmetric matrix. */
export function rotation(random: Random, n: number): Matrix {
  return symmetricEigen(normalMatrix(random, n, n)).vectors;
}

/** max |a_i − b_i|; infinite when the lengths differ. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] ?? Number.NaN) - (b[i] ?? Number.NaN));
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}
