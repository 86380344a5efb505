import { decoderRowCount, type SharedSpace } from "./shared-space.ts";

/** A Bᵀ for A (n, d) and B (p, d), row-major → (n, p); `depth` is d. Whoever can do it fast does. */
export type MatrixProduct = (a: Float32Array, b: Float32Array, depth: number) => Promise<Float32Array>;

/** Rows made at once. */
const BLOCK_ROWS = 4096;

/**
 * The decoder E (R, k), row-major: E[r] = Σ_m S_mᵀ U_m[r] − centre. Cost 2Rk Σd, all of it in `multiply`.
 * @param tables each member's decoder rows U_m (R, d_m), in the order of the space's members
 * @throws RangeError when a member's rows are missing or not as many as the others'
 */
export async function decoderMatrix(
  space: SharedSpace,
  tables: readonly Float32Array[],
  multiply: MatrixProduct,
): Promise<Float32Array> {
  const { dimension: k, decoderCentre, members } = space;
  const count = decoderRowCount(space);
  const factors = members.map(({ id, width, factor }, m) => {
    const rows = (tables[m]?.length ?? 0) / width;
    if (rows !== count) {
      throw new RangeError(`decoderMatrix: expected ${count} rows of member ${id}, got ${rows}`);
    }
    return transpose(factor, width, k);
  });
  const matrix = new Float32Array(count * k);
  for (let first = 0; first < count; first += BLOCK_ROWS) {
    const last = Math.min(count, first + BLOCK_ROWS);
    const block = matrix.subarray(first * k, last * k);
    for (let at = 0; at < block.length; at++) block[at] = -decoderCentre[at % k]!;
    for (const [m, { width }] of members.entries()) {
      const part = await multiply(tables[m]!.slice(first * width, last * width), factors[m]!, width);
      for (let at = 0; at < block.length; at++) block[at] = block[at]! + part[at]!;
    }
  }
  return matrix;
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j]!;
  }
  return result;
}
