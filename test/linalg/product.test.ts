import { describe, expect, test } from "vitest";
import { createMatrix, matrixFrom, rowBlock, type Matrix } from "../../src/linalg/matrix.ts";
import {
  addGram,
  multiply,
  multiplyNT,
  multiplyTN,
  multiplyVector,
  rowGram,
} from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import golden from "../golden/linalg.json" with { type: "json" };
import { largestDifference, normalMatrix, transpose } from "./planted.ts";

const a = matrixFrom(13, 9, golden.a);
const b = matrixFrom(9, 11, golden.b);

/** The definition, one sum an entry. */
function plainProduct(x: Matrix, y: Matrix): Matrix {
  const result = createMatrix(x.rows, y.columns);
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < y.columns; j++) {
      let sum = 0;
      for (let p = 0; p < x.columns; p++) sum += x.data[i * x.columns + p]! * y.data[p * y.columns + j]!;
      result.data[i * y.columns + j] = sum;
    }
  }
  return result;
}

describe("matrix products", () => {
  test("equal numpy's to 1e-13", () => {
    expect(largestDifference(multiply(a, b).data, golden.product)).toBeLessThan(1e-13);
    expect(largestDifference(multiplyTN(transpose(a), b).data, golden.product)).toBeLessThan(1e-13);
    expect(largestDifference(multiplyNT(a, transpose(b)).data, golden.product)).toBeLessThan(1e-13);
    expect(largestDifference(rowGram(a).data, golden.rowGram)).toBeLessThan(1e-13);
    const gram = createMatrix(9, 9);
    addGram(gram, a);
    expect(largestDifference(gram.data, golden.gram)).toBeLessThan(1e-13);
  });

  test.each([
    [1, 1, 1],
    [5, 3, 7],
    [64, 256, 4],
    [67, 259, 6],
    [3, 300, 1030],
  ])("equal the definition across block edges: (%i,%i) times (%i,%i)", (n, p, d) => {
    const random = createRandom(n + p + d);
    const x = normalMatrix(random, n, p);
    const y = normalMatrix(random, p, d);
    expect(largestDifference(multiply(x, y).data, plainProduct(x, y).data)).toBeLessThan(1e-11);
  });

  test("a Gram matrix wider than one block equals the definition and is exactly symmetric", () => {
    const x = normalMatrix(createRandom(5), 3, 1100);
    const gram = createMatrix(1100, 1100);
    addGram(gram, x);
    expect(largestDifference(gram.data, plainProduct(transpose(x), x).data)).toBeLessThan(1e-12);
    expect(largestDifference(transpose(gram).data, gram.data)).toBe(0);
  });

  test("a Gram matrix adds up over blocks of rows", () => {
    const x = normalMatrix(createRandom(6), 41, 10);
    const whole = createMatrix(10, 10);
    addGram(whole, x);
    const parts = createMatrix(10, 10);
    addGram(parts, rowBlock(x, 0, 17));
    addGram(parts, rowBlock(x, 17, 24));
    expect(largestDifference(whole.data, parts.data)).toBeLessThan(1e-12);
  });

  test("a product with a vector is that with its column", () => {
    const x = b.data.slice(0, a.columns);
    const column = multiply(a, { rows: a.columns, columns: 1, data: x });
    expect(largestDifference(multiplyVector(a, x), column.data)).toBeLessThan(1e-13);
    expect(() => multiplyVector(a, x.subarray(1))).toThrow("x (8) does not fit A (13,9)");
  });

  test("a product over no inner terms is zero", () => {
    expect(multiply(createMatrix(2, 0), createMatrix(0, 3))).toEqual(createMatrix(2, 3));
  });

  test("shapes that do not fit are named", () => {
    expect(() => multiply(a, a)).toThrow("multiply: A B does not fit: left (13,9), right (13,9)");
    expect(() => multiplyTN(a, b)).toThrow("left (13,9), right (9,11)");
    expect(() => multiplyNT(a, b)).toThrow("left (13,9), right (9,11)");
    expect(() => addGram(createMatrix(2, 2), a)).toThrow("left (2,2), right (13,9)");
  });
});
