import { createMatrix, type Matrix, shape } from "./matrix.ts";

/*
 * All products run through one kernel: C += A B cut into blocks of DEPTH inner terms. A block's operands are
 * first copied into panels (TILE rows of A, TILE columns of B, inner index slowest), so that the innermost
 * loop reads both in order and keeps a TILE × TILE piece of C in registers. The copies make transposes free:
 * only the strides of the copying differ. Goto & van de Geijn, "Anatomy of high-performance matrix
 * multiplication", 2008. Sums run in a fixed order, so equal inputs give equal bits.
 */
const TILE = 4;
const DEPTH = 256;
/** Rows of A in one block: 64 × 256 doubles, within a second-level cache. */
const BLOCK_ROWS = 64;
const BLOCK_COLUMNS = 1024;

/** A matrix or its transpose, as steps in the data. */
interface Operand {
  readonly data: Float64Array;
  /** Step to the next row (of A) or the next column (of B): along the outer dimension. */
  readonly outer: number;
  /** Step along the summed dimension. */
  readonly inner: number;
}

/** C = A B. A (n, p), B (p, d) → (n, d). Cost 2npd. @throws RangeError when the inner sizes differ */
export function multiply(a: Matrix, b: Matrix): Matrix {
  if (a.columns !== b.rows) throw mismatch("multiply: A B", a, b);
  const c = createMatrix(a.rows, b.columns);
  accumulate(c, a.columns, rowsOf(a), columnsOf(b), false);
  return c;
}

/** C = Aᵀ B. A (p, n), B (p, d) → (n, d). Cost 2npd. @throws RangeError when the inner sizes differ */
export function multiplyTN(a: Matrix, b: Matrix): Matrix {
  if (a.rows !== b.rows) throw mismatch("multiplyTN: Aᵀ B", a, b);
  const c = createMatrix(a.columns, b.columns);
  accumulate(c, a.rows, columnsOf(a), columnsOf(b), false);
  return c;
}

/** C = A Bᵀ. A (n, p), B (d, p) → (n, d). Cost 2npd. @throws RangeError when the inner sizes differ */
export function multiplyNT(a: Matrix, b: Matrix): Matrix {
  if (a.columns !== b.columns) throw mismatch("multiplyNT: A Bᵀ", a, b);
  const c = createMatrix(a.rows, b.rows);
  accumulate(c, a.columns, rowsOf(a), rowsOf(b), false);
  return c;
}

/** y = A x. A (n, d), x (d) → (n). Cost 2nd. @throws RangeError when the sizes differ */
export function multiplyVector(a: Matrix, x: Float64Array): Float64Array {
  const { rows: n, columns: d, data } = a;
  if (x.length !== d) throw new RangeError(`multiplyVector: x (${x.length}) does not fit A ${shape(a)}`);
  const y = new Float64Array(n);
  let i = 0;
  // Four sums at a time do not wait for each other.
  for (; i + 3 < n; i += 4) {
    const r0 = i * d,
      r1 = r0 + d,
      r2 = r1 + d,
      r3 = r2 + d;
    let s0 = 0,
      s1 = 0,
      s2 = 0,
      s3 = 0;
    for (let j = 0; j < d; j++) {
      const xj = x[j]!;
      s0 += data[r0 + j]! * xj;
      s1 += data[r1 + j]! * xj;
      s2 += data[r2 + j]! * xj;
      s3 += data[r3 + j]! * xj;
    }
    y[i] = s0;
    y[i + 1] = s1;
    y[i + 2] = s2;
    y[i + 3] = s3;
  }
  for (; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += data[i * d + j]! * x[j]!;
    y[i] = sum;
  }
  return y;
}

/** y = Aᵀ x. A (n, d), x (n) → (d). Cost 2nd. @throws RangeError when the sizes differ */
export function multiplyVectorTN(a: Matrix, x: Float64Array): Float64Array {
  const { rows: n, columns: d, data } = a;
  if (x.length !== n)
    throw new RangeError(`multiplyVectorTN: x (${x.length}) does not fit Aᵀ of A ${shape(a)}`);
  const y = new Float64Array(d);
  let i = 0;
  for (; i + 3 < n; i += 4) {
    const r0 = i * d,
      r1 = r0 + d,
      r2 = r1 + d,
      r3 = r2 + d;
    const x0 = x[i]!,
      x1 = x[i + 1]!,
      x2 = x[i + 2]!,
      x3 = x[i + 3]!;
    for (let j = 0; j < d; j++) {
      y[j] = y[j]! + (data[r0 + j]! * x0 + data[r1 + j]! * x1 + (data[r2 + j]! * x2 + data[r3 + j]! * x3));
    }
  }
  for (; i < n; i++) for (let j = 0; j < d; j++) y[j] = y[j]! + data[i * d + j]! * x[i]!;
  return y;
}

/**
 * G += XᵀX, in place. X (n, d), G (d, d) symmetric. Cost nd², half a general product. Call it block of rows
 * after block of rows to form the Gram matrix of something too large to hold.
 * @throws RangeError when G is not (d, d)
 */
export function addGram(target: Matrix, x: Matrix): void {
  if (target.rows !== x.columns || target.columns !== x.columns)
    throw mismatch("addGram: G += XᵀX", target, x);
  accumulate(target, x.rows, columnsOf(x), columnsOf(x), true);
  mirrorLower(target);
}

/** K = X Xᵀ, the Gram matrix between rows. X (n, d) → (n, n). Cost n²d. */
export function rowGram(x: Matrix): Matrix {
  const k = createMatrix(x.rows, x.rows);
  accumulate(k, x.columns, rowsOf(x), rowsOf(x), true);
  mirrorLower(k);
  return k;
}

function mismatch(name: string, a: Matrix, b: Matrix): RangeError {
  return new RangeError(`${name} does not fit: left ${shape(a)}, right ${shape(b)}`);
}

function rowsOf(a: Matrix): Operand {
  return { data: a.data, outer: a.columns, inner: 1 };
}

function columnsOf(a: Matrix): Operand {
  return { data: a.data, outer: 1, inner: a.columns };
}

/** C += A B; with `lowerOnly` (C symmetric) tiles that lie wholly above the diagonal are left alone. */
function accumulate(c: Matrix, depth: number, a: Operand, b: Operand, lowerOnly: boolean): void {
  const left = new Float64Array(BLOCK_ROWS * DEPTH);
  const right = new Float64Array(roundUp(Math.min(c.columns, BLOCK_COLUMNS)) * DEPTH);
  for (let column = 0; column < c.columns; column += BLOCK_COLUMNS) {
    const columns = Math.min(BLOCK_COLUMNS, c.columns - column);
    for (let term = 0; term < depth; term += DEPTH) {
      const terms = Math.min(DEPTH, depth - term);
      pack(right, b, column, columns, term, terms);
      for (let row = 0; row < c.rows; row += BLOCK_ROWS) {
        const rows = Math.min(BLOCK_ROWS, c.rows - row);
        if (lowerOnly && row + rows <= column) continue;
        pack(left, a, row, rows, term, terms);
        multiplyBlock(c, row, rows, column, columns, left, right, terms, lowerOnly);
      }
    }
  }
}

/** Copies `count` outer × `terms` inner entries into panels of TILE outer entries; the last panel is filled up with zeros. */
function pack(
  panels: Float64Array,
  source: Operand,
  first: number,
  count: number,
  term: number,
  terms: number,
): void {
  const { data, outer, inner } = source;
  let out = 0;
  for (let panel = 0; panel < count; panel += TILE) {
    const width = Math.min(TILE, count - panel);
    let at = (first + panel) * outer + term * inner;
    for (let p = 0; p < terms; p++) {
      for (let i = 0; i < width; i++) panels[out + i] = data[at + i * outer]!;
      for (let i = width; i < TILE; i++) panels[out + i] = 0;
      out += TILE;
      at += inner;
    }
  }
}

function multiplyBlock(
  c: Matrix,
  row: number,
  rows: number,
  column: number,
  columns: number,
  left: Float64Array,
  right: Float64Array,
  terms: number,
  lowerOnly: boolean,
): void {
  const tile = new Float64Array(TILE * TILE);
  for (let j = 0; j < columns; j += TILE) {
    const width = Math.min(TILE, columns - j);
    for (let i = 0; i < rows; i += TILE) {
      if (lowerOnly && row + i + TILE <= column + j) continue;
      multiplyTile(tile, left, i * terms, right, j * terms, terms);
      const height = Math.min(TILE, rows - i);
      for (let s = 0; s < height; s++) {
        const at = (row + i + s) * c.columns + column + j;
        for (let t = 0; t < width; t++) c.data[at + t] = c.data[at + t]! + tile[s * TILE + t]!;
      }
    }
  }
}

/** tile (4, 4) = one panel of A times one panel of B. Sixteen sums in registers: the loop the whole file is for. */
function multiplyTile(
  tile: Float64Array,
  left: Float64Array,
  leftStart: number,
  right: Float64Array,
  rightStart: number,
  terms: number,
): void {
  let c00 = 0,
    c01 = 0,
    c02 = 0,
    c03 = 0;
  let c10 = 0,
    c11 = 0,
    c12 = 0,
    c13 = 0;
  let c20 = 0,
    c21 = 0,
    c22 = 0,
    c23 = 0;
  let c30 = 0,
    c31 = 0,
    c32 = 0,
    c33 = 0;
  let l = leftStart;
  let r = rightStart;
  for (let p = 0; p < terms; p++) {
    const b0 = right[r]!,
      b1 = right[r + 1]!,
      b2 = right[r + 2]!,
      b3 = right[r + 3]!;
    const a0 = left[l]!;
    c00 += a0 * b0;
    c01 += a0 * b1;
    c02 += a0 * b2;
    c03 += a0 * b3;
    const a1 = left[l + 1]!;
    c10 += a1 * b0;
    c11 += a1 * b1;
    c12 += a1 * b2;
    c13 += a1 * b3;
    const a2 = left[l + 2]!;
    c20 += a2 * b0;
    c21 += a2 * b1;
    c22 += a2 * b2;
    c23 += a2 * b3;
    const a3 = left[l + 3]!;
    c30 += a3 * b0;
    c31 += a3 * b1;
    c32 += a3 * b2;
    c33 += a3 * b3;
    l += TILE;
    r += TILE;
  }
  tile[0] = c00;
  tile[1] = c01;
  tile[2] = c02;
  tile[3] = c03;
  tile[4] = c10;
  tile[5] = c11;
  tile[6] = c12;
  tile[7] = c13;
  tile[8] = c20;
  tile[9] = c21;
  tile[10] = c22;
  tile[11] = c23;
  tile[12] = c30;
  tile[13] = c31;
  tile[14] = c32;
  tile[15] = c33;
}

function mirrorLower(c: Matrix): void {
  const n = c.rows;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) c.data[j * n + i] = c.data[i * n + j]!;
  }
}

function roundUp(count: number): number {
  return Math.ceil(count / TILE) * TILE;
}
