/**
 * Dense real matrix in double precision, row-major: entry (i, j) is `data[i * columns + j]`.
 * Single precision lives only where numbers are stored or arrive; `matrixFrom` widens it.
 */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** rows × columns numbers. */
  readonly data: Float64Array;
}

/** Zero matrix (rows, columns). @throws RangeError on a size that is no whole number >= 0 */
export function createMatrix(rows: number, columns: number): Matrix {
  if (!Number.isInteger(rows) || !Number.isInteger(columns) || rows < 0 || columns < 0) {
    throw new RangeError(`createMatrix: expected whole sizes >= 0, got (${rows},${columns})`);
  }
  return { rows, columns, data: new Float64Array(rows * columns) };
}

/** A copy of row-major `values` as a matrix (rows, columns). @throws RangeError when the count does not fit */
export function matrixFrom(rows: number, columns: number, values: ArrayLike<number>): Matrix {
  if (values.length !== rows * columns) {
    throw new RangeError(
      `matrixFrom: (${rows},${columns}) needs ${rows * columns} values, got ${values.length}`,
    );
  }
  const matrix = createMatrix(rows, columns);
  matrix.data.set(values);
  return matrix;
}

/** The first `count` columns of A (n, d) → (n, count). @throws RangeError when A has fewer */
export function firstColumns(a: Matrix, count: number): Matrix {
  if (!(count >= 0 && count <= a.columns)) {
    throw new RangeError(`firstColumns: expected 0 to ${a.columns} columns of A ${shape(a)}, got ${count}`);
  }
  const result = createMatrix(a.rows, count);
  for (let i = 0; i < a.rows; i++) {
    result.data.set(a.data.subarray(i * a.columns, i * a.columns + count), i * count);
  }
  return result;
}

/** Rows `first` to `first + count` of A (n, d) → (count, d), a view on A's numbers. @throws RangeError outside A */
export function rowBlock(a: Matrix, first: number, count: number): Matrix {
  if (!(first >= 0 && count >= 0 && first + count <= a.rows)) {
    throw new RangeError(`rowBlock: rows ${first} to ${first + count} are outside A ${shape(a)}`);
  }
  return {
    rows: count,
    columns: a.columns,
    data: a.data.subarray(first * a.columns, (first + count) * a.columns),
  };
}

/** [A_1 … A_m]: matrices (n, d_m) side by side → (n, Σ d_m). @throws RangeError when they differ in rows */
export function sideBySide(blocks: readonly Matrix[]): Matrix {
  const rows = blocks[0]?.rows ?? 0;
  const joined = createMatrix(
    rows,
    blocks.reduce((sum, block) => sum + block.columns, 0),
  );
  let first = 0;
  for (const block of blocks) {
    if (block.rows !== rows) {
      throw new RangeError(`sideBySide: expected blocks of one height, got ${blocks.map(shape).join(" ")}`);
    }
    for (let i = 0; i < rows; i++) {
      const row = block.data.subarray(i * block.columns, (i + 1) * block.columns);
      joined.data.set(row, i * joined.columns + first);
    }
    first += block.columns;
  }
  return joined;
}

/** `(200,64)`: how errors name a matrix. */
export function shape(a: Matrix): string {
  return `(${a.rows},${a.columns})`;
}
