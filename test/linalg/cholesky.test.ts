import { describe, expect, test } from "vitest";
import { cholesky, choleskySolve } from "../../src/linalg/cholesky.ts";
import { createMatrix, matrixFrom } from "../../src/linalg/matrix.ts";
import { addGram, multiply } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import golden from "../golden/linalg.json" with { type: "json" };
import { largestDifference, normalMatrix } from "./planted.ts";

const spd = matrixFrom(9, 9, golden.spd);

describe("cholesky", () => {
  test("equals numpy's factor and scipy's solution to 1e-12", () => {
    const factor = cholesky(spd);
    expect(largestDifference(factor.data, golden.cholesky)).toBeLessThan(1e-12);
    const solution = choleskySolve(factor, matrixFrom(9, 3, golden.rhs));
    expect(largestDifference(solution.data, golden.solution)).toBeLessThan(1e-12);
  });

  test("solves a planted system of 120 unknowns to 1e-10", () => {
    const random = createRandom(11);
    const a = createMatrix(120, 120);
    addGram(a, normalMatrix(random, 300, 120));
    const planted = normalMatrix(random, 120, 2);
    const found = choleskySolve(cholesky(a), multiply(a, planted));
    expect(largestDifference(found.data, planted.data)).toBeLessThan(1e-10);
  });

  test("a 1×1 matrix has its square root as factor", () => {
    expect(cholesky(matrixFrom(1, 1, [9])).data).toEqual(Float64Array.of(3));
  });

  test("a matrix that is not positive definite is refused at the pivot that shows it", () => {
    expect(() => cholesky(matrixFrom(2, 2, [1, 2, 2, 1]))).toThrow(
      "A (2,2) is not positive definite: pivot 1 is -3",
    );
    expect(() => cholesky(createMatrix(3, 3))).toThrow("pivot 0 is 0");
    expect(() => cholesky(matrixFrom(1, 1, [Number.NaN]))).toThrow("pivot 0 is NaN");
  });

  test("shapes that do not fit are named", () => {
    expect(() => cholesky(createMatrix(2, 3))).toThrow("expected a square matrix, got (2,3)");
    expect(() => choleskySolve(createMatrix(2, 2), createMatrix(3, 1))).toThrow(
      "L (2,2) does not fit B (3,1)",
    );
  });
});
