import { describe, expect, test } from "vitest";
import { cka, ckaMatrix, fitStandardisation, standardise } from "../../src/alignment/cka.ts";
import { createMatrix, type Matrix, matrixFrom } from "../../src/linalg/matrix.ts";
import { multiply } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import golden from "../golden/alignment.json" with { type: "json" };
import { largestDifference, normalMatrix, rotation } from "../linalg/planted.ts";

const x = matrixFrom(30, 6, golden.x);
const y = matrixFrom(30, 5, golden.y);

function standard(a: Matrix): Matrix {
  return standardise(a, fitStandardisation(a));
}

describe("debiased linear CKA", () => {
  test("equals its definition by quadruples of rows to 1e-12", () => {
    const value = cka(matrixFrom(8, 3, golden.smallX), matrixFrom(8, 4, golden.smallY));
    expect(value).toBeCloseTo(golden.smallCka, 12);
  });

  test("equals numpy's by feature sums to 1e-12, raw and standardised", () => {
    expect(cka(x, y)).toBeCloseTo(golden.cka, 12);
    expect(cka(standard(x), standard(y))).toBeCloseTo(golden.standardisedCka, 12);
  });

  test("is 1 with itself and symmetric", () => {
    expect(cka(x, x)).toBeCloseTo(1, 12);
    expect(cka(y, x)).toBeCloseTo(cka(x, y), 12);
  });

  test("does not change under rotation, isotropic scaling and translation", () => {
    const turned = multiply(x, rotation(createRandom(1), 6));
    const moved = { ...turned, data: turned.data.map((value, i) => 7 * value + (i % 6)) };
    expect(cka(moved, y)).toBeCloseTo(cka(x, y), 10);
  });

  test("is 0 on average for independent data, however wide", () => {
    const random = createRandom(2);
    const values = Array.from({ length: 200 }, () =>
      cka(normalMatrix(random, 24, 40), normalMatrix(random, 24, 60)),
    );
    const mean = values.reduce((sum, value) => sum + value, 0) / 200;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 199;
    expect(Math.abs(mean)).toBeLessThan(4 * Math.sqrt(variance / 200));
    expect(Math.sqrt(variance / 200)).toBeLessThan(0.02);
  });

  test("compares every layer with every layer", () => {
    const map = ckaMatrix([x, y], [y, x, standard(x)]);
    expect([map.rows, map.columns]).toEqual([2, 3]);
    const expected = [cka(x, y), 1, cka(x, standard(x)), 1, cka(y, x), cka(y, standard(x))];
    expect(largestDifference(map.data, expected)).toBeLessThan(1e-12);
  });

  test("what cannot be compared is refused", () => {
    expect(() => cka(x, createMatrix(29, 5))).toThrow("expected 30 rows in every layer, one is (29,5)");
    expect(() => cka(createMatrix(3, 2), createMatrix(3, 2))).toThrow("at least 4 rows, got 3");
    expect(() => cka(x, createMatrix(30, 2))).toThrow("X (30,2) has self-similarity HSIC_u = 0");
  });
});

describe("standardise", () => {
  test("equals numpy's to 1e-12", () => {
    expect(largestDifference(standard(x).data, golden.standardised)).toBeLessThan(1e-12);
  });

  test("uses the fitted sample's numbers on other rows and turns constant features into 0", () => {
    const fitted = fitStandardisation(matrixFrom(2, 2, [0, 5, 2, 5]));
    expect(standardise(matrixFrom(1, 2, [4, 9]), fitted).data).toEqual(Float64Array.of(3, 0));
  });

  test("widths that differ and samples without rows are refused", () => {
    expect(() => standardise(x, fitStandardisation(y))).toThrow("fitted for width 5, X is (30,6)");
    expect(() => fitStandardisation(createMatrix(0, 3))).toThrow("expected rows, X is (0,3)");
  });
});
