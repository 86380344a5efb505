import { asBytes, type ExternalData } from "./external-data.ts";
import { GRAPH_PORTS } from "./graph-ports.ts";
import type { ModelShape } from "./model-shape.ts";
import { CONTRIB, type OnnxGraph } from "./onnx-graph.ts";

/** cos and sin of position × angle, each (positions, head / 2), by name. */
export interface RotaryTables {
  readonly cos: string;
  readonly sin: string;
}

/** What the attention of one block needs. */
export interface AttentionOptions {
  readonly layer: number;
  readonly shape: ModelShape;
  readonly rotary: RotaryTables;
  /** Pairs of a head that turn together: neighbours (2i, 2i + 1), or (i, i + head / 2). */
  readonly interleaved: boolean;
  /** How many tokens a query sees, itself included; null sees all before it. */
  readonly window: number | null;
}

/** cos and sin of p · base^(-2i / head) for positions p and pairs i. Su et al. 2021. */
export async function rotaryTables(
  graph: OnnxGraph,
  data: ExternalData,
  name: string,
  base: number,
  shape: ModelShape,
): Promise<RotaryTables> {
  const pairs = shape.headSize / 2;
  const cos = new Float32Array(shape.contextLength * pairs);
  const sin = new Float32Array(cos.length);
  for (let i = 0; i < pairs; i++) {
    const frequency = base ** ((-2 * i) / shape.headSize);
    for (let position = 0; position < shape.contextLength; position++) {
      cos[position * pairs + i] = Math.cos(position * frequency);
      sin[position * pairs + i] = Math.sin(position * frequency);
    }
  }
  const dims = [shape.contextLength, pairs];
  return {
    cos: graph.external(`${name}.cos`, await data.store("float32", dims, [asBytes(cos)])),
    sin: graph.external(`${name}.sin`, await data.store("float32", dims, [asBytes(sin)])),
  };
}

/** The lengths that every attention of a graph reads. */
export interface Lengths {
  /** Tokens of the longest sequence of the batch, the new ones included: a 32-bit scalar. */
  readonly total: string;
  /** Each sequence's, less one: 32 bits (b,). */
  readonly lastIndex: string;
}

export function sequenceLengths(graph: OnnxGraph): Lengths {
  return {
    total: graph.input(GRAPH_PORTS.total, "int32", []),
    lastIndex: graph.input(GRAPH_PORTS.lastIndex, "int32", ["b"]),
  };
}

/**
 * Grouped-query attention with rotary positions over the cache and the new tokens; q, k, v or all three packed in q. Where
 * past and present are the same memory the new keys and values are written there and nothing is copied. One new token of
 * each of several sequences, or several of one.
 */
export function attention(
  graph: OnnxGraph,
  qkv: readonly [string] | readonly [string, string, string],
  lengths: Lengths,
  options: AttentionOptions,
): string {
  const { layer, shape } = options;
  const cacheDims = ["b", shape.kvHeads, "capacity", shape.headSize];
  const pastKey = graph.input(GRAPH_PORTS.pastKey(layer), "float32", cacheDims);
  const pastValue = graph.input(GRAPH_PORTS.pastValue(layer), "float32", cacheDims);
  const [q, k = "", v = ""] = qkv;
  const present = [GRAPH_PORTS.presentKey(layer), GRAPH_PORTS.presentValue(layer)] as const;
  const attended = graph.node(
    "GroupQueryAttention",
    [q, k, v, pastKey, pastValue, lengths.lastIndex, lengths.total, options.rotary.cos, options.rotary.sin],
    {
      domain: CONTRIB,
      outputs: [`attended.${layer}`, ...present],
      attributes: {
        num_heads: { int: shape.heads },
        kv_num_heads: { int: shape.kvHeads },
        scale: { float: shape.headSize ** -0.5 },
        do_rotary: { int: 1 },
        rotary_interleaved: { int: options.interleaved ? 1 : 0 },
        local_window_size: { int: options.window ?? -1 },
      },
    },
  );
  for (const port of present) graph.output(port, "float32", cacheDims);
  return attended;
}
