import { asBytes, type ExternalData } from "./external-data.ts";
import { GRAPH_PORTS } from "./graph-ports.ts";
import { hasWindows, windowOf, type ModelShape } from "./model-shape.ts";
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

/** The lengths that an attention reads. */
export interface Lengths {
  /** Tokens of the longest sequence of the batch, the new ones included: a 32-bit scalar. */
  readonly total: string;
  /** Each sequence's, less one: 32 bits (b,). */
  readonly lastIndex: string;
  /** Positions of the new tokens, 64 bits (b, t), where they do not follow from the lengths. */
  readonly positions?: string;
}

/** The lengths of a graph: those of whole sequences, and those counted from where the windows begin. */
export interface SequenceLengths {
  readonly whole: Lengths;
  /** Null in a graph without windows. */
  readonly inWindow: Lengths | null;
}

export function sequenceLengths(graph: OnnxGraph, shape: ModelShape): SequenceLengths {
  return {
    whole: {
      total: graph.input(GRAPH_PORTS.total, "int32", []),
      lastIndex: graph.input(GRAPH_PORTS.lastIndex, "int32", ["b"]),
    },
    inWindow: hasWindows(shape)
      ? {
          total: graph.input(GRAPH_PORTS.windowTotal, "int32", []),
          lastIndex: graph.input(GRAPH_PORTS.windowLastIndex, "int32", ["b"]),
          positions: graph.input(GRAPH_PORTS.positions, "int64", ["b", "t"]),
        }
      : null,
  };
}

/**
 * Grouped-query attention with rotary positions over the cache and the new tokens; q, k, v or all three packed in q. Where
 * past and present are the same memory the new keys and values are written there and nothing is copied. One new token of
 * each of several sequences, or several of one. A layer with a window masks what lies before it (`windowOf`).
 */
export function attention(
  graph: OnnxGraph,
  qkv: readonly [string] | readonly [string, string, string],
  { whole, inWindow }: SequenceLengths,
  options: AttentionOptions,
): string {
  const { layer, shape, rotary } = options;
  const window = windowOf(shape, layer);
  const { lastIndex, total, positions } = (window === null ? null : inWindow) ?? whole;
  const cacheDims = ["b", shape.kvHeads, "capacity", shape.headSize];
  const pastKey = graph.input(GRAPH_PORTS.pastKey(layer), "float32", cacheDims);
  const pastValue = graph.input(GRAPH_PORTS.pastValue(layer), "float32", cacheDims);
  const [q, k = "", v = ""] = qkv;
  const present = [GRAPH_PORTS.presentKey(layer), GRAPH_PORTS.presentValue(layer)] as const;
  const attended = graph.node(
    "GroupQueryAttention",
    [q, k, v, pastKey, pastValue, lastIndex, total, rotary.cos, rotary.sin].concat(positions ?? []),
    {
      domain: CONTRIB,
      outputs: [`attended.${layer}`, ...present],
      attributes: {
        num_heads: { int: shape.heads },
        kv_num_heads: { int: shape.kvHeads },
        scale: { float: shape.headSize ** -0.5 },
        do_rotary: { int: 1 },
        rotary_interleaved: { int: options.interleaved ? 1 : 0 },
        local_window_size: { int: window ?? -1 },
      },
    },
  );
  for (const port of present) graph.output(port, "float32", cacheDims);
  return attended;
}
