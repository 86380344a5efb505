import { describe, expect, it } from "vitest";
import { fitOptionSpace, projectOptions } from "../../src/alignment/option-space.ts";
import { createMatrix, matrixFrom, type Matrix } from "../../src/linalg/matrix.ts";
import { multiplyNT, rowGram } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";

const random = createRandom(5);

function normals(rows: number, columns: number): Matrix {
  const x = createMatrix(rows, columns);
  x.data.forEach((_, i) => (x.data[i] = random.normal()));
  return x;
}

/** Σ z² over all states. */
function energy({ data }: Matrix): number {
  return data.reduce((sum, x) => sum + x * x, 0);
}

describe("the space of options", () => {
  it("keeps all distances at full rank, each member's features on one scale", () => {
    const [a, b] = [normals(40, 3), normals(40, 2)];
    const large = { ...b, data: b.data.map((x) => 1000 * x) };
    const z = projectOptions(fitOptionSpace([a, b], 5), [a, b]);
    const scaled = projectOptions(fitOptionSpace([a, large], 5), [a, large]);
    expect(energy(z) / 40).toBeCloseTo(1, 10);
    rowGram(scaled).data.forEach((x, i) => expect(x).toBeCloseTo(rowGram(z).data[i] ?? 0, 10));
  });

  it("finds what two members share: one direction holds it, through either alone and more through both", () => {
    const signal = normals(500, 1);
    const views = [4, 6].map((width) => {
      const noisy = multiplyNT(signal, normals(width, 1));
      noisy.data.forEach((x, i) => (noisy.data[i] = x + 0.1 * random.normal()));
      return noisy;
    });
    const space = fitOptionSpace(views, 1);
    const both = projectOptions(space, views);
    const parts = space.projections.map((_, m) =>
      projectOptions(
        space,
        views.map((view, v) => (v === m ? view : createMatrix(500, view.columns))),
      ),
    );
    for (const part of parts) expect(Math.abs(correlation(part, signal))).toBeGreaterThan(0.9);
    expect(energy(both)).toBeGreaterThan(energy(parts[0] ?? both) + energy(parts[1] ?? both));
  });

  it("ignores a feature that never differs between options", () => {
    const a = matrixFrom(4, 2, [1, 0, -1, 0, 2, 0, -2, 0]);
    const z = projectOptions(fitOptionSpace([a], 2), [a]);
    expect(z.data.every(Number.isFinite)).toBe(true);
    expect(projectOptions(fitOptionSpace([a], 2), [matrixFrom(1, 2, [0, 9])]).data).toEqual(
      new Float64Array(2),
    );
  });

  it("refuses blocks of different heights, and another number of members", () => {
    expect(() => fitOptionSpace([normals(3, 2), normals(4, 2)], 2)).toThrow(/\(3,2\) \(4,2\)/);
    const space = fitOptionSpace([normals(3, 2)], 2);
    expect(() => projectOptions(space, [])).toThrow(/expected 1 members' states, got 0/);
  });
});

function correlation(a: Matrix, b: Matrix): number {
  const product = a.data.reduce((sum, x, i) => sum + x * (b.data[i] ?? 0), 0);
  return product / Math.sqrt(energy(a) * energy(b));
}
