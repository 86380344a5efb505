import { createHash } from "node:crypto";
import { cholesky, choleskySolve } from "../../src/linalg/cholesky.ts";
import { matrixFrom } from "../../src/linalg/matrix.ts";
import { rowGram, multiply as product, multiplyTN } from "../../src/linalg/product.ts";
import type { MatrixProduct } from "../../src/alignment/decoder-matrix.ts";
import type { SharedMember, SharedSpace } from "../../src/alignment/shared-space.ts";
import type { FusionMember, FusionRecipe } from "../../src/weights/fusion-graph.ts";

/** Rows multiplied at once. */
const BLOCK_ROWS = 4096;

/** What decides a fusion graph, sha256 in hex. @param decoder the hash of its decoder matrix */
export function fusionHash(space: SharedSpace, decoder: string, special: readonly number[]): string {
  const hash = createHash("sha256").update(decoder).update(Int32Array.from(special));
  for (const { projection, offset, rowBias, weight, own } of space.members) {
    hash.update(projection).update(offset).update(rowBias).update(String(weight));
    hash.update(own.begins).update(own.hosts);
  }
  return hash.digest("hex");
}

/**
 * Each member's way from its final state to the decoder's rows that say something of it: D_m = E P_mᵀ, and the logits at
 * the state of zeros, E offset_m + β_m.
 * @param decoder E (R, k)
 */
export async function fusionRecipe(
  space: SharedSpace,
  decoder: Float32Array,
  special: readonly number[],
  multiply: MatrixProduct,
): Promise<FusionRecipe> {
  const { dimension, vocabularySize } = space;
  const members: FusionMember[] = [];
  for (const [m, member] of space.members.entries()) {
    const { width, projection, offset, weight, own } = member;
    const ranges = m === 0 ? [[0, vocabularySize]] : rowRanges(space, member);
    const count = ranges.reduce((sum, [first = 0, end = 0]) => sum + end - first, 0);
    const matrix = new Float32Array(count * width);
    const bias = new Float32Array(count);
    const mean = meanState(member, dimension);
    const centre = Float32Array.from(
      multiplyTN(matrixFrom(width, dimension, projection), matrixFrom(width, 1, mean)).data,
      (x, i) => x + offset[i]!,
    );
    let at = 0;
    for (const [first = 0, end = 0] of ranges) {
      for (let row = first; row < end; row += BLOCK_ROWS) {
        const last = Math.min(end, row + BLOCK_ROWS);
        const part = decoder.slice(row * dimension, last * dimension);
        matrix.set(await multiply(part, projection, dimension), at * width);
        bias.set(await multiply(part, centre, dimension), at);
        for (let r = row; r < last; r++, at++) bias[at] = (bias[at] ?? 0) + (member.rowBias[r] ?? 0);
      }
    }
    const tokens = m === 0 ? null : { begins: own.begins, hosts: own.hosts };
    members.push({ width, projection, offset, weight, mean, matrix, bias, tokens });
  }
  return { vocabularySize, dimension, special, members };
}

/**
 * About μ of z = Pᵀ(h − μ), by least squares: states less a mean near theirs lose less where they are rounded to 8 bits. Any
 * mean gives the same logits, since what it takes away stands in the biases.
 */
function meanState({ width, projection, offset }: SharedMember, dimension: number): Float32Array {
  const p = matrixFrom(width, dimension, projection);
  const gram = rowGram(p);
  let trace = 0;
  for (let i = 0; i < width; i++) trace += gram.data[i * width + i]!;
  for (let i = 0; i < width; i++) gram.data[i * width + i]! += 1e-9 * trace;
  const right = product(p, matrixFrom(dimension, 1, offset));
  return Float32Array.from(choleskySolve(cholesky(gram), right).data, (x) => -x);
}

/** The anchor's tokens, then the member's own. */
function rowRanges({ vocabularySize }: SharedSpace, { own }: SharedMember): number[][] {
  return [
    [0, vocabularySize],
    [own.firstRow, own.firstRow + own.begins.length],
  ];
}
