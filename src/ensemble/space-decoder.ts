import type { SharedSpace } from "../alignment/shared-space.ts";
import type { AnchorRows } from "./anchor-rows.ts";

/** A Bᵀ for A (n, d) and B (p, d), row-major → (n, p). `depth` is d. */
export type MatrixProduct = (a: Float32Array, b: Float32Array, depth: number) => Promise<Float32Array>;

/** Tokens whose rows are made at once. */
const BLOCK_TOKENS = 4096;

/**
 * The decoder E (V, k), row-major: E[t] = Σ_m S_mᵀ U_m[t] − centre. Cost 2Vk Σd: the product runs where `multiply` says.
 * @param tables each member's rows over the anchor's vocabulary, in the order of the space
 */
export async function buildDecoderMatrix(
  space: SharedSpace,
  tables: readonly AnchorRows[],
  multiply: MatrixProduct,
): Promise<Float32Array> {
  const { dimension: k, vocabularySize } = space;
  const factors = space.members.map((member) => transpose(member.factor, member.width, k));
  const matrix = new Float32Array(vocabularySize * k);
  for (let first = 0; first < vocabularySize; first += BLOCK_TOKENS) {
    const last = Math.min(vocabularySize, first + BLOCK_TOKENS);
    const block = matrix.subarray(first * k, last * k);
    for (let at = 0; at < block.length; at++) block[at] = -(space.decoderCentre[at % k] ?? 0);
    for (const [m, { width }] of space.members.entries()) {
      const rows = tables[m]?.rows.slice(first * width, last * width) ?? new Float32Array(0);
      const part = await multiply(rows, factors[m] ?? new Float32Array(0), width);
      for (let at = 0; at < block.length; at++) block[at] = (block[at] ?? 0) + (part[at] ?? 0);
    }
  }
  return matrix;
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j] ?? 0;
  }
  return result;
}
