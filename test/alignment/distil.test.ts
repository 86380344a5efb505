import { describe, expect, it } from "vitest";
import { createOnnxDistillation } from "../../adapters/node/onnx-distillation.ts";
import { decoderMatrix, type MatrixProduct } from "../../src/alignment/decoder-matrix.ts";
import { distil, type DistillationRow } from "../../src/alignment/distil.ts";
import { jointSvd, sharedMaps } from "../../src/alignment/joint-svd.ts";
import { createSharedSpace, fuse, project, type SharedSpace } from "../../src/alignment/shared-space.ts";
import { matrixFrom } from "../../src/linalg/matrix.ts";
import { multiplyNT } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { softmax } from "../../src/stats/distributions.ts";
import { createMoments } from "../../src/stats/moments.ts";
import { noOwnTokens } from "../scripted-fit.ts";

const VOCABULARY = 60;
const WIDTHS = [8, 6];
const COUNT = 400;
const random = createRandom(3);
const normals = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
const tables = WIDTHS.map((width) => normals(VOCABULARY * width));
const states = WIDTHS.map((width) => normals(COUNT * width));
const moments = WIDTHS.map((width, m) => {
  const accumulator = createMoments(width);
  accumulator.add(states[m] ?? new Float32Array(0));
  return accumulator.result();
});
const weights = [0.5, 0.5];

/** k = 5 of 14: too few for both members, so there is something to learn. */
function closedForm(): SharedSpace {
  const svd = jointSvd(
    WIDTHS.map((width, m) => ({
      width,
      rows: (first: number, count: number) => tables[m]!.subarray(first * width, (first + count) * width),
      mean: moments[m]!.mean,
      covariance: moments[m]!.covariance,
      scale: 1,
    })),
    new Float64Array(VOCABULARY).fill(1),
  );
  return createSharedSpace(svd, sharedMaps(svd, 5), ["a", "b"], weights, [
    noOwnTokens(VOCABULARY),
    noOwnTokens(VOCABULARY),
  ]);
}

const stateOf = (m: number, i: number): Float32Array =>
  states[m]!.subarray(i * WIDTHS[m]!, (i + 1) * WIDTHS[m]!);

/** What the members know together: the mean of their own distributions. */
function mixtureAt(i: number): Float64Array {
  const mean = new Float64Array(VOCABULARY);
  for (const [m, width] of WIDTHS.entries()) {
    const logits = Float32Array.from({ length: VOCABULARY }, (_, v) =>
      stateOf(m, i).reduce((sum, x, j) => sum + x * tables[m]![v * width + j]!, 0),
    );
    softmax(logits);
    for (let v = 0; v < VOCABULARY; v++) mean[v]! += logits[v]! / 2;
  }
  return mean;
}

const multiply: MatrixProduct = async (a, b, depth) =>
  Float32Array.from(
    multiplyNT(matrixFrom(a.length / depth, depth, a), matrixFrom(b.length / depth, depth, b)).data,
  );

/** Mean cross-entropy of the fused predictions to the mixture over rows `from` to before `to`. */
async function lossOf(space: SharedSpace, from: number, to: number): Promise<number> {
  const matrix = await decoderMatrix(space, tables, multiply);
  const bias = fuse(
    weights,
    space.members.map(({ rowBias }) => rowBias),
  );
  let loss = 0;
  for (let i = from; i < to; i++) {
    const z = fuse(
      weights,
      [0, 1].map((m) => project(space, m, stateOf(m, i))),
    );
    const p = Float32Array.from({ length: VOCABULARY }, (_, v) =>
      z.reduce((sum, x, j) => sum + x * matrix[v * space.dimension + j]!, bias[v]!),
    );
    softmax(p);
    loss -= mixtureAt(i).reduce((sum, q, v) => sum + q * Math.log(p[v]!), 0);
  }
  return loss / (to - from);
}

describe("distil", () => {
  const means = moments.map(({ mean }) => Float32Array.from(mean));
  const row = (r: number): DistillationRow => ({
    states: WIDTHS.map((_, m) => stateOf(m, r).map((x, j) => x - means[m]![j]!)),
    shares: weights,
    target: mixtureAt(r).entries(),
  });

  it("brings fused predictions nearer to the target, on rows that it has not seen too", async () => {
    const step = await createOnnxDistillation(tables.map((rows, m) => ({ rows, width: WIDTHS[m]! })));
    const start = closedForm();
    const options = { step, count: 300, row, epochs: 150, seed: 1, progress: silentProgress };
    const learned = await distil(start, means, options);
    expect(await lossOf(learned, 0, 300)).toBeLessThan((await lossOf(start, 0, 300)) - 0.05);
    expect(await lossOf(learned, 300, COUNT)).toBeLessThan((await lossOf(start, 300, COUNT)) - 0.05);

    const again = await distil(start, means, options);
    expect(again.members[1]?.projection).toEqual(learned.members[1]?.projection);
  });

  it("leaves the space it was given as it was, and mean states at the origin", async () => {
    const step = await createOnnxDistillation(tables.map((rows, m) => ({ rows, width: WIDTHS[m]! })));
    const start = closedForm();
    const learned = await distil(start, means, {
      step,
      count: 50,
      row,
      epochs: 2,
      seed: 1,
      progress: silentProgress,
    });
    expect(start).toEqual(closedForm());
    const origin = project(learned, 0, means[0]!);
    expect(origin.every((x) => Math.abs(x) < 1e-5)).toBe(true);
    expect(learned.members[0]?.projection).not.toEqual(start.members[0]?.projection);
  });
});
