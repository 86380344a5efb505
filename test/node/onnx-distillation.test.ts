import { describe, expect, it } from "vitest";
import { createOnnxDistillation } from "../../adapters/node/onnx-distillation.ts";
import { createOnnxProduct } from "../../adapters/node/onnx-product.ts";
import type { DistillationBatch, DistillationParameters } from "../../src/alignment/distil.ts";
import { matrixFrom } from "../../src/linalg/matrix.ts";
import { multiplyNT } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";

const VOCABULARY = 40;
const WIDTHS = [6, 5];
const DIMENSION = 4;
const ROWS = 3;
const random = createRandom(9);
const normals = (count: number, scale = 1): Float32Array =>
  Float32Array.from({ length: count }, () => scale * random.normal());

const tables = WIDTHS.map((width) => ({ rows: normals(VOCABULARY * width, 0.5), width }));
const parameters: DistillationParameters = {
  projections: WIDTHS.map((width) => normals(width * DIMENSION, 0.5)),
  factors: WIDTHS.map((width) => normals(width * DIMENSION, 0.5)),
  rowBias: normals(2 * VOCABULARY, 0.5),
};
const batch: DistillationBatch = {
  rows: ROWS,
  states: WIDTHS.map((width) => normals(ROWS * width)),
  shares: Float32Array.of(0.4, 0.6, 1, 0, 0, 1),
  target: normals(ROWS * VOCABULARY).map((x, i) => (i % 7 === 0 ? Math.abs(x) : 0)),
};

/** The loss in double precision, straight from its definition. */
function lossOf({ projections, factors, rowBias }: DistillationParameters): number {
  let loss = 0;
  for (let r = 0; r < ROWS; r++) {
    const z = Array.from({ length: DIMENSION }, (_, j) =>
      WIDTHS.reduce((sum, width, m) => {
        let part = 0;
        for (let i = 0; i < width; i++)
          part += batch.states[m]![r * width + i]! * projections[m]![i * DIMENSION + j]!;
        return sum + part;
      }, 0),
    );
    const logits = Array.from({ length: VOCABULARY }, (_, v) =>
      WIDTHS.reduce((sum, width, m) => {
        let part = batch.shares[r * 2 + m]! * rowBias[m * VOCABULARY + v]!;
        for (let i = 0; i < width; i++) {
          const unfolded = z.reduce((total, value, j) => total + value * factors[m]![i * DIMENSION + j]!, 0);
          part += unfolded * tables[m]!.rows[v * width + i]!;
        }
        return sum + part;
      }, 0),
    );
    const lse = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    for (let v = 0; v < VOCABULARY; v++) loss -= batch.target[r * VOCABULARY + v]! * (logits[v]! - lse);
  }
  return loss;
}

const arraysOf = ({ projections, factors, rowBias }: DistillationParameters): Float32Array[] => [
  ...projections,
  ...factors,
  rowBias,
];

describe("a distillation step", () => {
  it("has the loss of the definition, and its gradient", async () => {
    const step = await createOnnxDistillation(tables);
    const { loss, gradient } = await step(parameters, batch);
    expect(loss).toBeCloseTo(lossOf(parameters), 3);

    const gradients = arraysOf(gradient);
    const size = 1e-3;
    for (const [a, values] of arraysOf(parameters).entries()) {
      expect(gradients[a]).toHaveLength(values.length);
      for (let i = 0; i < values.length; i += 3) {
        const before = values[i]!;
        values[i] = before + size;
        const up = lossOf(parameters);
        const upAt = values[i]!;
        values[i] = before - size;
        const slope = (up - lossOf(parameters)) / (upAt - values[i]!);
        values[i] = before;
        expect(Math.abs(gradients[a]![i]! - slope), `array ${a}, entry ${i}`).toBeLessThan(
          2e-3 * (1 + Math.abs(slope)),
        );
      }
    }
  });
});

describe("the float32 product", () => {
  it("is A Bᵀ", async () => {
    const [n, p, depth] = [7, 11, 5];
    const a = normals(n * depth);
    const b = normals(p * depth);
    const product = await (await createOnnxProduct())(a, b, depth);
    const exact = multiplyNT(matrixFrom(n, depth, a), matrixFrom(p, depth, b));
    expect(product).toHaveLength(n * p);
    for (const [i, value] of product.entries()) expect(value).toBeCloseTo(exact.data[i] ?? NaN, 4);
  });
});
