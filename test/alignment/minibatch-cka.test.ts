import { describe, expect, test } from "vitest";
import { ckaMatrix } from "../../src/alignment/cka.ts";
import { hollowGram } from "../../src/alignment/hsic.ts";
import { createMinibatchCka } from "../../src/alignment/minibatch-cka.ts";
import { createMatrix, matrixFrom, type Matrix } from "../../src/linalg/matrix.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { largestDifference } from "../linalg/planted.ts";
import golden from "../golden/minibatch-cka.json" with { type: "json" };

const layers = (all: readonly number[][]): Matrix[] =>
  all.map((values) => matrixFrom(golden.rows, values.length / golden.rows, values));
const xs = layers(golden.xs);
const ys = layers(golden.ys);

function rowsAt(x: Matrix, rows: ArrayLike<number>): Matrix {
  const picked = Array.from(rows, (row) => x.data.subarray(row * x.columns, (row + 1) * x.columns));
  return matrixFrom(
    rows.length,
    x.columns,
    picked.flatMap((row) => Array.from(row)),
  );
}

/** In batches of `size` rows in the given order. */
function inBatches(order: readonly number[], size: number): Matrix {
  const running = createMinibatchCka(xs.length, ys.length);
  for (let first = 0; first < order.length; first += size) {
    const rows = order.slice(first, first + size);
    const grams = (all: readonly Matrix[]) => all.map((x) => hollowGram(rowsAt(x, rows)));
    running.add(grams(xs), grams(ys));
  }
  expect(running.batches).toBe(Math.ceil(order.length / size));
  return running.result();
}

const inOrder = Array.from({ length: golden.rows }, (_, row) => row);

describe("minibatch CKA", () => {
  test("equals numpy's to 1e-12", () => {
    expect(largestDifference(inBatches(inOrder, golden.batch).data, golden.minibatch)).toBeLessThan(1e-12);
  });

  test("of one batch with all rows is the CKA of all rows, and numpy's", () => {
    const whole = inBatches(inOrder, golden.rows);
    expect(largestDifference(whole.data, ckaMatrix(xs, ys).data)).toBeLessThan(1e-12);
    expect(largestDifference(whole.data, golden.whole)).toBeLessThan(1e-12);
  });

  test("over 300 shuffles of the same rows comes within .005 of the CKA of all rows", () => {
    const random = createRandom(5);
    const order = Array.from({ length: 300 }, () => random.shuffle([...inOrder])).flat();
    expect(largestDifference(inBatches(order, golden.batch).data, golden.whole)).toBeLessThan(0.005);
  });

  test("of a layer that never varies is no number", () => {
    const running = createMinibatchCka(1, 1);
    running.add(
      [hollowGram(createMatrix(8, 3))],
      [hollowGram(rowsAt(xs[0] ?? createMatrix(0, 0), inOrder.slice(0, 8)))],
    );
    expect(running.result().data).toEqual(Float64Array.of(NaN));
  });

  test("layers that do not fit are refused", () => {
    const gram = hollowGram(rowsAt(xs[0] ?? createMatrix(0, 0), inOrder.slice(0, 8)));
    const fewer = hollowGram(rowsAt(xs[0] ?? createMatrix(0, 0), inOrder.slice(0, 6)));
    expect(() => createMinibatchCka(1, 2).add([gram], [gram])).toThrow(
      "expected 1 and 2 layers of the same rows, got 1 and 1",
    );
    expect(() => createMinibatchCka(1, 1).add([gram], [fewer])).toThrow("one of (6,6) beside 8 rows");
    expect(() => hollowGram(createMatrix(3, 2))).toThrow("at least 4 rows, X is (3,2)");
  });
});
