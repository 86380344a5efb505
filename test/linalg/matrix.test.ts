import { describe, expect, test } from "vitest";
import { createMatrix, firstColumns, matrixFrom, rowBlock, sideBySide } from "../../src/linalg/matrix.ts";

describe("matrix", () => {
  test("matrixFrom widens single precision row by row", () => {
    const a = matrixFrom(2, 3, Float32Array.of(1, 2, 3, 4, 5, 6));
    expect(a.data).toEqual(Float64Array.of(1, 2, 3, 4, 5, 6));
  });

  test("firstColumns copies and rowBlock is a view", () => {
    const a = matrixFrom(3, 2, [1, 2, 3, 4, 5, 6]);
    const column = firstColumns(a, 1);
    const rows = rowBlock(a, 1, 2);
    a.data.fill(0);
    expect(column.data).toEqual(Float64Array.of(1, 3, 5));
    expect(rows.data).toEqual(Float64Array.of(0, 0, 0, 0));
  });

  test("matrices side by side keep their rows", () => {
    const joined = sideBySide([matrixFrom(2, 1, [1, 2]), matrixFrom(2, 2, [3, 4, 5, 6])]);
    expect(joined).toEqual(matrixFrom(2, 3, [1, 3, 4, 2, 5, 6]));
    expect(() => sideBySide([createMatrix(2, 1), createMatrix(3, 1)])).toThrow("(2,1) (3,1)");
  });

  test("sizes that do not fit are refused by name", () => {
    expect(() => createMatrix(2.5, 1)).toThrow("createMatrix: expected whole sizes >= 0, got (2.5,1)");
    expect(() => matrixFrom(2, 2, [1])).toThrow("matrixFrom: (2,2) needs 4 values, got 1");
    expect(() => firstColumns(createMatrix(2, 3), 4)).toThrow("A (2,3)");
    expect(() => rowBlock(createMatrix(2, 3), 1, 2)).toThrow("A (2,3)");
  });
});
