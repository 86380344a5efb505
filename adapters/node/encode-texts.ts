import { Tensor, type InferenceSession } from "onnxruntime-node";
import { ENCODER_PORTS } from "../../src/weights/encoder-graph.ts";
import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import type { EncodeRequest, EncodeResult, WorkerEncoder } from "./worker-messages.ts";

/**
 * Pooled states of texts. Each text is run by itself: int8 graphs quantise a whole batch by its one largest number, so
 * that a text's states would depend on its neighbours' (by some 10 %), and padding costs what a batch saves.
 */
export async function encodeTexts(
  session: InferenceSession,
  { width, inputs }: WorkerEncoder,
  { texts, layers, pooling }: EncodeRequest,
): Promise<EncodeResult> {
  const pooled = layers.map(() => new Float32Array(texts.length * width));
  const names = layers.map((layer) => GRAPH_PORTS.residual(layer));
  for (const [row, tokens] of texts.entries()) {
    const results = await session.run(feedsOf(tokens, inputs), [...new Set(names)]);
    for (const [i, name] of names.entries()) {
      const states = results[name]?.data as Float32Array;
      const target = pooled[i]?.subarray(row * width, (row + 1) * width);
      if (pooling === "first") target?.set(states.subarray(0, width));
      else target?.set(meanRow(states, width));
    }
  }
  return { pooled };
}

function feedsOf(tokens: Int32Array, inputs: readonly string[]): Record<string, Tensor> {
  const shape = [1, tokens.length];
  const filled = (value: bigint) => new Tensor("int64", new BigInt64Array(tokens.length).fill(value), shape);
  return {
    [ENCODER_PORTS.tokens]: new Tensor("int64", BigInt64Array.from(tokens, BigInt), shape),
    [ENCODER_PORTS.mask]: filled(1n),
    ...(inputs.includes(ENCODER_PORTS.types) && { [ENCODER_PORTS.types]: filled(0n) }),
  };
}

/** Mean of the rows (t, d) → (d). */
function meanRow(rows: Float32Array, width: number): Float64Array {
  const mean = new Float64Array(width);
  for (let at = 0; at < rows.length; at += width) {
    for (let j = 0; j < width; j++) mean[j] = (mean[j] ?? 0) + (rows[at + j] ?? 0);
  }
  return mean.map((sum) => (sum * width) / rows.length);
}
