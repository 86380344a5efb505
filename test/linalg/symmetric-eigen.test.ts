import { describe, expect, test } from "vitest";
import { createMatrix, matrixFrom, type Matrix } from "../../src/linalg/matrix.ts";
import { addGram, multiply, multiplyNT, multiplyTN } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { symmetricEigen } from "../../src/linalg/symmetric-eigen.ts";
import { symmetricPower } from "../../src/linalg/symmetric-power.ts";
import golden from "../golden/linalg.json" with { type: "json" };
import { identity, largestDifference, normalMatrix, rotation } from "./planted.ts";

/** V diag(values) Vᵀ, and VᵀV, against A and I. */
function expectDecomposes(a: Matrix, tolerance: number): void {
  const { values, vectors } = symmetricEigen(a);
  const n = a.rows;
  const scaled = createMatrix(n, n);
  for (let i = 0; i < n * n; i++) scaled.data[i] = vectors.data[i]! * values[i % n]!;
  expect(largestDifference(multiplyNT(scaled, vectors).data, a.data)).toBeLessThan(tolerance);
  expect(largestDifference(multiplyTN(vectors, vectors).data, identity(n).data)).toBeLessThan(1e-12);
  expect([...values]).toEqual([...values].sort((x, y) => y - x));
}

describe("symmetricEigen", () => {
  test("equals numpy's eigh to 1e-12, signs included", () => {
    const { values, vectors } = symmetricEigen(matrixFrom(12, 12, golden.symmetric));
    expect(largestDifference(values, golden.values)).toBeLessThan(1e-12);
    expect(largestDifference(vectors.data, golden.vectors)).toBeLessThan(1e-12);
  });

  test("rebuilds a matrix of order 150 to 1e-11", () => {
    const x = normalMatrix(createRandom(1), 150, 150);
    const a = createMatrix(150, 150);
    for (let i = 0; i < 150; i++) {
      for (let j = 0; j < 150; j++) a.data[i * 150 + j] = x.data[i * 150 + j]! + x.data[j * 150 + i]!;
    }
    expectDecomposes(a, 1e-11);
  });

  test("finds planted eigenvalues, repeated ones too", () => {
    const turn = rotation(createRandom(2), 30);
    const planted = Array.from({ length: 30 }, (_, i) => Math.floor((29 - i) / 3) - 4);
    const scaled = createMatrix(30, 30);
    for (let i = 0; i < 900; i++) scaled.data[i] = turn.data[i]! * planted[i % 30]!;
    const a = multiplyNT(scaled, turn);
    expect(largestDifference(symmetricEigen(a).values, planted)).toBeLessThan(1e-12);
    expectDecomposes(a, 1e-12);
  });

  test("a rank-deficient Gram matrix has as many zeros as it lacks ranks", () => {
    const gram = createMatrix(20, 20);
    addGram(gram, normalMatrix(createRandom(3), 7, 20));
    const { values } = symmetricEigen(gram);
    expect(values[6]!).toBeGreaterThan(0.1);
    expect(Math.max(...values.subarray(7).map(Math.abs))).toBeLessThan(1e-12);
    expectDecomposes(gram, 1e-12);
  });

  test("entries near the ends of the range of doubles neither overflow nor vanish", () => {
    for (const scale of [1e150, 1e-150]) {
      const { values } = symmetricEigen(
        matrixFrom(
          3,
          3,
          [2, -1, 0, -1, 2, -1, 0, -1, 2].map((x) => x * scale),
        ),
      );
      const expected = [2 + Math.SQRT2, 2, 2 - Math.SQRT2];
      expect(
        largestDifference(
          values.map((x) => x / scale),
          expected,
        ),
      ).toBeLessThan(1e-14);
    }
  });

  test("zero, 1×1 and empty matrices decompose", () => {
    expect(symmetricEigen(createMatrix(3, 3))).toEqual({ values: new Float64Array(3), vectors: identity(3) });
    expect(symmetricEigen(matrixFrom(1, 1, [-4]))).toEqual({
      values: Float64Array.of(-4),
      vectors: identity(1),
    });
    expect(symmetricEigen(createMatrix(0, 0)).values).toHaveLength(0);
  });

  test("the same matrix gives the same bits twice", () => {
    const gram = createMatrix(40, 40);
    addGram(gram, normalMatrix(createRandom(4), 60, 40));
    expect(symmetricEigen(gram)).toEqual(symmetricEigen(gram));
  });

  test("what cannot be decomposed is refused by name", () => {
    expect(() => symmetricEigen(createMatrix(2, 3))).toThrow("expected a square matrix, got (2,3)");
    expect(() => symmetricEigen(matrixFrom(2, 2, [1, 0, Number.NaN, 1]))).toThrow(
      "A (2,2) holds NaN at row 1, column 0",
    );
  });
});

describe("symmetricPower", () => {
  const deficient = symmetricEigen(matrixFrom(13, 13, golden.deficient));

  test("equals scipy's floored square root and its inverse to 1e-11", () => {
    expect(largestDifference(symmetricPower(deficient, 0.5, 1e-3).data, golden.squareRoot)).toBeLessThan(
      1e-11,
    );
    expect(
      largestDifference(symmetricPower(deficient, -0.5, 1e-3).data, golden.inverseSquareRoot),
    ).toBeLessThan(1e-11);
  });

  test("powers ½ and −½ of a rank-deficient matrix are inverse to each other", () => {
    const product = multiply(symmetricPower(deficient, 0.5, 1e-6), symmetricPower(deficient, -0.5, 1e-6));
    expect(largestDifference(product.data, identity(13).data)).toBeLessThan(1e-10);
  });

  test("the square root times itself is the matrix", () => {
    const a = createMatrix(25, 25);
    addGram(a, normalMatrix(createRandom(8), 50, 25));
    const root = symmetricPower(symmetricEigen(a), 0.5, 0);
    expect(largestDifference(multiply(root, root).data, a.data)).toBeLessThan(1e-11);
  });

  test("a matrix without the power is refused", () => {
    expect(() => symmetricPower(symmetricEigen(createMatrix(2, 2)), 0.5, 0.1)).toThrow(
      "the largest of 2 is 0",
    );
    expect(() => symmetricPower(symmetricEigen(matrixFrom(2, 2, [1, 0, 0, 0])), -0.5, 0)).toThrow(
      "raise the floor 0",
    );
  });
});
