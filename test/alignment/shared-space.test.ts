import { describe, expect, test } from "vitest";
import { decoderMatrix, type MatrixProduct } from "../../src/alignment/decoder-matrix.ts";
import { jointSvd, sharedMaps } from "../../src/alignment/joint-svd.ts";
import { createSharedSpace, fuse, project, type SharedSpace } from "../../src/alignment/shared-space.ts";
import { matrixFrom, rowBlock } from "../../src/linalg/matrix.ts";
import { multiplyNT } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { createMoments } from "../../src/stats/moments.ts";
import { largestDifference, normalMatrix } from "../linalg/planted.ts";
import { noOwnTokens } from "../scripted-fit.ts";

const VOCABULARY = 70;
const WIDTHS = [6, 7, 3];
const random = createRandom(21);
const rows = WIDTHS.map((width) => normalMatrix(random, VOCABULARY, width));
const states = WIDTHS.map((width) => normalMatrix(random, 80, width));
const single = rows.map(({ data }) => Float32Array.from(data));
const rowOffset = Float32Array.from({ length: VOCABULARY }, () => random.normal());

const owns = WIDTHS.map(() => noOwnTokens(VOCABULARY));

function space(dimension: number): SharedSpace {
  const members = WIDTHS.map((width, m) => {
    const moments = createMoments(width);
    moments.add(states[m]!.data.map((x) => x + m));
    return {
      width,
      rows: (first: number, count: number) => Float32Array.from(rowBlock(rows[m]!, first, count).data),
      ...(m === 1 ? { rowOffset } : {}),
      ...moments.result(),
      scale: 1 + m,
    };
  });
  const svd = jointSvd(members, new Float64Array(VOCABULARY).fill(1));
  return createSharedSpace(svd, sharedMaps(svd, dimension), ["a", "b", "c"], [0.3, 0.5, 0.2], owns);
}

/** Σ w_m (U_m h_m + b_m), less its mean over the tokens. */
function exactPool(weights: readonly number[], hidden: readonly Float32Array[]): number[] {
  const logits = Array.from({ length: VOCABULARY }, (_, t) =>
    WIDTHS.reduce((sum, width, m) => {
      let logit = m === 1 ? rowOffset[t]! : 0;
      for (let j = 0; j < width; j++) logit += rows[m]!.data[t * width + j]! * hidden[m]![j]!;
      return sum + weights[m]! * logit;
    }, 0),
  );
  return centred(logits);
}

const multiply: MatrixProduct = async (a, b, depth) =>
  Float32Array.from(
    multiplyNT(matrixFrom(a.length / depth, depth, a), matrixFrom(b.length / depth, depth, b)).data,
  );

/** E z + Σ w_m β_m, less its mean over the tokens. */
async function decode(shared: SharedSpace, z: Float32Array, weights: readonly number[]): Promise<number[]> {
  const e = await decoderMatrix(shared, single, multiply);
  const bias = fuse(
    weights,
    shared.members.map(({ rowBias }) => rowBias),
  );
  const logits = Array.from({ length: VOCABULARY }, (_, t) =>
    z.reduce((sum, value, j) => sum + value * e[t * shared.dimension + j]!, bias[t]!),
  );
  return centred(logits);
}

function centred(values: number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - mean);
}

const hidden = WIDTHS.map((width, m) => Float32Array.from(states[m]!.data.subarray(0, width), (x) => x + m));

describe("a shared space of full rank", () => {
  const full = space(16);

  test("decodes each member's state to its own logits", async () => {
    for (const m of [0, 1, 2]) {
      const alone = [0, 0, 0];
      alone[m] = 1;
      const decoded = await decode(full, project(full, m, hidden[m]!), alone);
      expect(largestDifference(decoded, exactPool(alone, hidden))).toBeLessThan(1e-4);
    }
  });

  test("decodes the fused state to the log-linear pool, with any member abstaining", async () => {
    const z = hidden.map((state, m) => project(full, m, state));
    for (const weights of [
      [0.3, 0.5, 0.2],
      [0.6, 0, 0.7],
      [0, 0, 0],
    ]) {
      const decoded = await decode(full, fuse(weights, z), weights);
      expect(largestDifference(decoded, exactPool(weights, hidden))).toBeLessThan(1e-4);
    }
  });
});

describe("a shared space", () => {
  const small = space(5);

  test("projects many rows as it projects one", () => {
    const many = Float32Array.from(states[1]!.data.subarray(0, 7 * 9));
    const together = project(small, 1, many);
    for (let r = 0; r < 9; r++) {
      const alone = project(small, 1, many.subarray(r * 7, (r + 1) * 7));
      expect(together.subarray(r * 5, (r + 1) * 5)).toEqual(alone);
    }
  });

  test("puts a member's mean state at the origin", () => {
    const moments = createMoments(7);
    moments.add(states[1]!.data.map((x) => x + 1));
    const z = project(small, 1, Float32Array.from(moments.result().mean));
    expect(largestDifference(z, new Float32Array(5))).toBeLessThan(1e-6);
  });

  test("fuses by weight and never looks at a member of weight 0", () => {
    const lost = new Float32Array(2).fill(Number.NaN);
    expect(fuse([0.5, 0, 2], [Float32Array.of(2, 4), lost, Float32Array.of(1, -1)])).toEqual(
      Float32Array.of(3, 0),
    );
  });

  test("what does not fit is refused by name", async () => {
    expect(() => project(small, 3, new Float32Array(3))).toThrow("project: no member 3, the space has 3");
    expect(() => project(small, 1, new Float32Array(8))).toThrow(
      "project: b: 8 numbers are no whole rows of width 7",
    );
    expect(() => fuse([1], [new Float32Array(2), new Float32Array(3)])).toThrow(
      "fuse: 1 weights do not fit arrays of (2, 3)",
    );
    await expect(decoderMatrix(small, [], multiply)).rejects.toThrow("expected 70 rows of member a, got 0");
  });
});
