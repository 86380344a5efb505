import { InferenceSession, Tensor } from "onnxruntime-node";
import type { DistillationStep } from "../../src/alignment/distil.ts";
import { buildDistillationStep, DISTILLATION_PORTS } from "../../src/weights/distillation-graph.ts";

/**
 * Distillation steps on every core. They hold the thread while they run: for fits, not while answering.
 * @param tables each member's rows of the decoder, U_m (R, d_m)
 */
export async function createOnnxDistillation(
  tables: readonly { readonly rows: Float32Array; readonly width: number }[],
): Promise<DistillationStep> {
  const ports = DISTILLATION_PORTS;
  const session = await InferenceSession.create(buildDistillationStep(tables.length));
  const fixed = Object.fromEntries(tables.map(({ rows, width }, m) => [ports.table(m), matrix(rows, width)]));
  return async ({ projections, factors, rowBias }, { rows, states, shares, target }) => {
    const feeds: Record<string, Tensor> = {
      ...fixed,
      [ports.shares]: matrix(shares, tables.length),
      [ports.rowBias]: matrix(rowBias, rowBias.length / tables.length),
      [ports.target]: matrix(target, target.length / rows),
    };
    for (const [m, { width }] of tables.entries()) {
      feeds[ports.states(m)] = matrix(states[m] ?? new Float32Array(0), width);
      feeds[ports.projection(m)] = matrix(
        projections[m] ?? new Float32Array(0),
        (projections[m]?.length ?? 0) / width,
      );
      feeds[ports.factor(m)] = matrix(factors[m] ?? new Float32Array(0), (factors[m]?.length ?? 0) / width);
    }
    const results = await session.run(feeds);
    const read = (name: string): Float32Array => {
      const data = results[name]?.data;
      if (!(data instanceof Float32Array)) throw new Error(`distillation: expected float32 numbers ${name}`);
      return data;
    };
    return {
      loss: read(ports.loss)[0] ?? NaN,
      gradient: {
        projections: tables.map((_, m) => read(ports.projectionGradient(m))),
        factors: tables.map((_, m) => read(ports.factorGradient(m))),
        rowBias: read(ports.rowBiasGradient),
      },
    };
  };
}

function matrix(values: Float32Array, columns: number): Tensor {
  return new Tensor("float32", values, [values.length / columns, columns]);
}
