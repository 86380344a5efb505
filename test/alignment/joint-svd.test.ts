import { describe, expect, test } from "vitest";
import {
  explainedVariance,
  type JointMember,
  jointSvd,
  sharedMaps,
  tokenWeights,
} from "../../src/alignment/joint-svd.ts";
import { createMatrix, type Matrix, matrixFrom } from "../../src/linalg/matrix.ts";
import { multiply, multiplyNT } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { createMoments } from "../../src/stats/moments.ts";
import golden from "../golden/alignment.json" with { type: "json" };
import { identity, largestDifference, normalMatrix } from "../linalg/planted.ts";

const VOCABULARY = 24;
const WIDTHS = [4, 5];
const states = WIDTHS.map((width, m) => matrixFrom(50, width, golden.states[m]!));
const rows = WIDTHS.map((width, m) => matrixFrom(VOCABULARY, width, golden.rows[m]!));
const weights = tokenWeights(golden.counts);

function member(m: number, scale: number, rowOffset?: Float32Array): JointMember {
  const width = WIDTHS[m]!;
  const moments = createMoments(width);
  moments.add(states[m]!.data);
  return {
    width,
    rows: (first, count) => Float32Array.from(rows[m]!.data.subarray(first * width, (first + count) * width)),
    rowOffset,
    ...moments.result(),
    scale,
  };
}

/** The first `count` states less their mean. */
function centredStates(m: number, count: number, mean: Float64Array): Matrix {
  const width = WIDTHS[m]!;
  const result = createMatrix(count, width);
  for (let i = 0; i < count * width; i++) result.data[i] = states[m]!.data[i]! - mean[i % width]!;
  return result;
}

/** E (V, k) from its definition: Σ U_m S_m less the centre. */
function decoder(maps: ReturnType<typeof sharedMaps>): Matrix {
  const parts = maps.members.map(({ factor }, m) => multiply(rows[m]!, factor));
  const result = createMatrix(VOCABULARY, maps.dimension);
  for (let i = 0; i < result.data.length; i++) {
    result.data[i] =
      parts.reduce((sum, part) => sum + part.data[i]!, 0) - maps.decoderCentre[i % maps.dimension]!;
  }
  return result;
}

/** Rows less their mean: what is left when a constant per row does not matter. */
function withoutRowMeans(a: Matrix): Float64Array {
  const result = a.data.slice();
  for (let i = 0; i < a.rows; i++) {
    const row = result.subarray(i * a.columns, (i + 1) * a.columns);
    const mean = row.reduce((sum, value) => sum + value, 0) / a.columns;
    for (let j = 0; j < a.columns; j++) row[j] = row[j]! - mean;
  }
  return result;
}

describe("jointSvd", () => {
  test("equals numpy's SVD of the weighted stack to 1e-11", () => {
    expect(largestDifference(weights, golden.tokenWeights)).toBeLessThan(1e-15);
    const svd = jointSvd([member(0, 0.4), member(1, 0.6)], weights);
    expect(largestDifference(svd.eigenvalues, golden.eigenvalues)).toBeLessThan(1e-11);
    const maps = sharedMaps(svd, 3);
    for (const m of [0, 1]) {
      const z = multiply(centredStates(m, 3, svd.members[m]!.mean), maps.members[m]!.projection);
      const logits = multiplyNT(z, decoder(maps));
      expect(largestDifference(logits.data, golden.approximate[m]!)).toBeLessThan(1e-11);
    }
  });

  test("at full rank every member's logits come back up to a constant per position, whatever the scales", () => {
    const rowOffset = Float32Array.from({ length: VOCABULARY }, (_, t) => (t % 5 === 0 ? -6 : 0));
    for (const scales of [
      [0.4, 0.6],
      [3, 0.01],
    ]) {
      const svd = jointSvd([member(0, scales[0]!), member(1, scales[1]!, rowOffset)], weights);
      const maps = sharedMaps(svd, 9);
      for (const m of [0, 1]) {
        const { mean, rowBias } = svd.members[m]!;
        const z = multiply(centredStates(m, 50, mean), maps.members[m]!.projection);
        const decoded = multiplyNT(z, decoder(maps));
        const exact = multiplyNT(states[m]!, rows[m]!);
        for (let i = 0; i < decoded.data.length; i++) {
          const token = i % VOCABULARY;
          decoded.data[i] = decoded.data[i]! + rowBias[token]!;
          exact.data[i] = exact.data[i]! + (m === 1 ? rowOffset[token]! : 0);
        }
        // The row bias is kept in single precision.
        expect(largestDifference(withoutRowMeans(decoded), withoutRowMeans(exact))).toBeLessThan(2e-6);
      }
    }
  });

  test("a covariance that has lost rank is floored and the logits still come back", () => {
    const flat = { ...member(0, 1), covariance: createMatrix(4, 4) };
    flat.covariance.data[0] = 1;
    const svd = jointSvd([flat, member(1, 1)], weights, { eigenvalueFloor: 1e-4 });
    const maps = sharedMaps(svd, 9);
    const z = multiply(centredStates(0, 5, svd.members[0]!.mean), maps.members[0]!.projection);
    const exact = multiplyNT(centredStates(0, 5, svd.members[0]!.mean), rows[0]!);
    expect(
      largestDifference(withoutRowMeans(multiplyNT(z, decoder(maps))), withoutRowMeans(exact)),
    ).toBeLessThan(1e-9);
  });

  test("explained variance rises to 1, and the weighted error of rank k is what it leaves out", () => {
    const svd = jointSvd([member(0, 0.4), member(1, 0.6)], weights);
    const explained = explainedVariance(svd);
    expect([...explained]).toEqual([...explained].sort((a, b) => a - b));
    expect(explained.at(-1)).toBeCloseTo(1, 12);
    const total = svd.eigenvalues.reduce((sum, value) => sum + value, 0);
    // E's columns have weighted variance 1; λ gives them back their own.
    const e = decoder(sharedMaps(svd, 4));
    let carried = 0;
    for (let i = 0; i < e.data.length; i++) {
      carried += weights[Math.floor(i / 4)]! * svd.eigenvalues[i % 4]! * e.data[i]! ** 2;
    }
    expect(carried / total).toBeCloseTo(explained[3]!, 11);
  });

  test("E's weighted columns are orthonormal and centred", () => {
    const maps = sharedMaps(jointSvd([member(0, 1), member(1, 1)], weights), 5);
    const e = decoder(maps);
    const weighted = { ...e, data: e.data.map((value, i) => Math.sqrt(weights[Math.floor(i / 5)]!) * value) };
    for (let a = 0; a < 5; a++) {
      let mean = 0;
      for (let t = 0; t < VOCABULARY; t++) mean += weights[t]! * e.data[t * 5 + a]!;
      expect(Math.abs(mean)).toBeLessThan(1e-12);
      for (let b = 0; b <= a; b++) {
        let product = 0;
        for (let t = 0; t < VOCABULARY; t++) product += weighted.data[t * 5 + a]! * weighted.data[t * 5 + b]!;
        expect(Math.abs(product - (a === b ? 1 : 0))).toBeLessThan(1e-11);
      }
    }
  });

  test("rows are read in order, each once, over more than one block", () => {
    const vocabulary = 1300;
    const u = normalMatrix(createRandom(3), vocabulary, 2);
    const asked: number[] = [];
    const one: JointMember = {
      width: 2,
      rows(first, count) {
        asked.push(first, count);
        return Float32Array.from(u.data.subarray(first * 2, (first + count) * 2));
      },
      mean: Float64Array.of(1, -1),
      covariance: identity(2),
      scale: 1,
    };
    const svd = jointSvd([one], new Float64Array(vocabulary).fill(1));
    expect(asked).toEqual([0, 512, 512, 512, 1024, 276]);
    expect(svd.members[0]!.rowBias[1299]).toBeCloseTo(u.data[2598]! - u.data[2599]!, 5);
  });

  test("what does not fit is refused by member", () => {
    const good = member(0, 1);
    expect(() => jointSvd([{ ...good, mean: new Float64Array(3) }], weights)).toThrow(
      "member 0 of width 4 has mean (3) and covariance (4,4)",
    );
    expect(() => jointSvd([good, member(1, 0)], weights)).toThrow("member 1 needs a scale > 0, got 0");
    expect(() => jointSvd([member(0, 1, new Float32Array(3))], weights)).toThrow("3 row offsets for 24 rows");
    expect(() => jointSvd([{ ...good, rows: () => new Float32Array(1) }], weights)).toThrow(
      "gave 1 numbers for 24 rows of width 4",
    );
    expect(() => jointSvd([{ ...good, covariance: createMatrix(4, 4) }], weights)).toThrow(
      "positive eigenvalue",
    );
    expect(() => sharedMaps(jointSvd([good], weights), 5)).toThrow("expected a dimension from 1 to 4, got 5");
  });
});
