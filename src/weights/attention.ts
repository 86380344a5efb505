import { asBytes, type ExternalData } from "./external-data.ts";
import { GRAPH_PORTS } from "./graph-ports.ts";
import type { ModelShape } from "./model-shape.ts";
import { CONTRIB, ELEMENT_TYPES, type OnnxGraph } from "./onnx-graph.ts";

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
  readonly past: string;
  /** past + t (1,). */
  readonly total: string;
  /** total as a 32-bit scalar. */
  readonly totalScalar: string;
  /** total - 1, 32 bits (1,). */
  readonly lastIndex: string;
  /** The axis of a cache tensor that counts tokens (1,). */
  readonly cacheAxis: string;
}

export function sequenceLengths(graph: OnnxGraph): Lengths {
  const tokens = graph.input(GRAPH_PORTS.tokens, "int64", [1, "t"]);
  const past = graph.input(GRAPH_PORTS.pastLength, "int64", [1]);
  const shape = graph.node("Shape", [tokens], { attributes: { start: { int: 1 }, end: { int: 2 } } });
  const total = graph.node("Add", [past, shape]);
  const int32 = { to: { int: ELEMENT_TYPES.int32 } };
  const total32 = graph.node("Cast", [total], { attributes: int32 });
  const one = graph.constant("one", "int32", [1], [1]);
  const scalar = graph.constant("scalar", "int64", [0], []);
  return {
    past,
    total,
    totalScalar: graph.node("Reshape", [total32, scalar]),
    lastIndex: graph.node("Sub", [total32, one]),
    cacheAxis: graph.constant("cache.axis", "int64", [1], [2]),
  };
}

/** Grouped-query attention with rotary positions over the cache and the new tokens; q, k, v or all three packed in q. */
export function attention(
  graph: OnnxGraph,
  qkv: readonly [string] | readonly [string, string, string],
  lengths: Lengths,
  options: AttentionOptions,
): string {
  const { layer, shape } = options;
  const cacheDims = [1, shape.kvHeads, "capacity", shape.headSize];
  const pastKey = graph.input(GRAPH_PORTS.pastKey(layer), "float32", cacheDims);
  const pastValue = graph.input(GRAPH_PORTS.pastValue(layer), "float32", cacheDims);
  const [q, k = "", v = ""] = qkv;
  const present = [`present.key.${layer}`, `present.value.${layer}`] as const;
  const attended = graph.node(
    "GroupQueryAttention",
    [
      q,
      k,
      v,
      pastKey,
      pastValue,
      lengths.lastIndex,
      lengths.totalScalar,
      options.rotary.cos,
      options.rotary.sin,
    ],
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
  // Only the new tokens' keys and values leave the graph; the worker keeps the rest and would get it back as a copy.
  const newDims = [1, shape.kvHeads, "t", shape.headSize];
  for (const [from, to] of [
    [present[0], GRAPH_PORTS.newKey(layer)],
    [present[1], GRAPH_PORTS.newValue(layer)],
  ] as const) {
    graph.node("Slice", [from, lengths.past, lengths.total, lengths.cacheAxis], { outputs: [to] });
    graph.output(to, "float32", newDims);
  }
  return attended;
}
