import { rotaryTables, type RotaryTables } from "../../src/weights/attention.ts";
import { createExternalData, type ByteSink } from "../../src/weights/external-data.ts";
import type { WeightFile } from "../../src/weights/gguf.ts";
import { readModelShape, type ModelShape } from "../../src/weights/model-shape.ts";
import { CONTRIB, createOnnxGraph, ELEMENT_TYPES } from "../../src/weights/onnx-graph.ts";
import { gatherRows, linear, storeMatrices } from "../../src/weights/quantized-matrix.ts";

/*
 * onnxruntime as exported models use it: one graph from token ids to logits with the model's own head, the cache passed
 * in as `past` and out, grown by the new tokens, as `present`. It stays as it is, whatever the product's graphs become.
 */

export const PLAIN_PORTS = {
  /** Token ids (1, t). */
  tokens: "input_ids",
  /** Logits after the last of them (1, 1, V). */
  logits: "logits",
  /** Of key or value, layer by layer: (1, kvHeads, tokens so far, head). */
  past: (part: "key" | "value", layer: number) => `past_key_values.${layer}.${part}`,
  present: (part: "key" | "value", layer: number) => `present.${layer}.${part}`,
} as const;

/** As in src/weights/gemma3.ts. */
const LOCAL_ROPE_BASE = 10_000;
const LAYERS_PER_GLOBAL = 6;

export interface PlainGraph {
  readonly shape: ModelShape;
  readonly graph: Uint8Array<ArrayBuffer>;
}

/** Writes the graph of a llama or gemma3 file, all matrices in 8-bit blocks of 32, as the product's are. */
export async function buildPlainGraph(
  weights: WeightFile,
  location: string,
  sink: ByteSink,
): Promise<PlainGraph> {
  const shape = readModelShape(weights);
  const isGemma = shape.family === "gemma3";
  const data = createExternalData(location, sink);
  const graph = createOnnxGraph("plain");
  const tokens = graph.input(PLAIN_PORTS.tokens, "int64", [1, "t"]);
  const globalRotary = await rotaryTables(graph, data, "rotary", shape.ropeBase, shape);
  const localRotary = isGemma
    ? await rotaryTables(graph, data, "rotary.local", LOCAL_ROPE_BASE, shape)
    : globalRotary;
  const int64 = (name: string, values: number[]): string =>
    graph.constant(name, "int64", [values.length], values);

  async function norm(x: string, name: string): Promise<string> {
    const weight = await weights.tensor(name);
    const inputs = [x, graph.constant(name, "float32", [weight.length], weight)];
    return graph.node("SimplifiedLayerNormalization", inputs, {
      attributes: { axis: { int: -1 }, epsilon: { float: shape.epsilon } },
    });
  }
  const project = async (x: string, name: string): Promise<string> =>
    linear(graph, name, await storeMatrices(data, weights, [name]), x);
  const afterwards = async (x: string, name: string): Promise<string> => (isGemma ? norm(x, name) : x);
  async function normHeads(x: string, name: string, heads: number): Promise<string> {
    if (!isGemma) return x;
    const split = graph.node("Reshape", [x, int64(`${name}.split`, [0, 0, heads, shape.headSize])]);
    const join = int64(`${name}.join`, [0, 0, heads * shape.headSize]);
    return graph.node("Reshape", [await norm(split, name), join]);
  }

  const lengths = sequenceLengths();
  function sequenceLengths(): { readonly lastIndex: string; readonly total: string } {
    const axis = (from: string, at: number): string =>
      graph.node("Shape", [from], { attributes: { start: { int: at }, end: { int: at + 1 } } });
    const total = graph.node("Add", [axis(PLAIN_PORTS.past("key", 0), 2), axis(tokens, 1)]);
    const total32 = graph.node("Cast", [total], { attributes: { to: { int: ELEMENT_TYPES.int32 } } });
    return {
      lastIndex: graph.node("Sub", [total32, graph.constant("one", "int32", [1], [1])]),
      total: graph.node("Reshape", [total32, graph.constant("scalar", "int64", [0], [])]),
    };
  }

  function attend(layer: number, qkv: readonly string[], rotary: RotaryTables, window: number): string {
    const dims = (count: string) => [1, shape.kvHeads, count, shape.headSize];
    const past = (["key", "value"] as const).map((part) =>
      graph.input(PLAIN_PORTS.past(part, layer), "float32", dims("past")),
    );
    const present = (["key", "value"] as const).map((part) => PLAIN_PORTS.present(part, layer));
    const inputs = [...qkv, ...past, lengths.lastIndex, lengths.total, rotary.cos, rotary.sin];
    const attended = graph.node("GroupQueryAttention", inputs, {
      domain: CONTRIB,
      outputs: [`attended.${layer}`, ...present],
      attributes: {
        num_heads: { int: shape.heads },
        kv_num_heads: { int: shape.kvHeads },
        scale: { float: shape.headSize ** -0.5 },
        do_rotary: { int: 1 },
        rotary_interleaved: { int: isGemma ? 0 : 1 },
        local_window_size: { int: window },
      },
    });
    for (const name of present) graph.output(name, "float32", dims("total"));
    return attended;
  }

  async function block(layer: number, x: string): Promise<string> {
    const name = (part: string): string => `blk.${layer}.${part}.weight`;
    const isGlobal = !isGemma || (layer + 1) % LAYERS_PER_GLOBAL === 0;
    const normed = await norm(x, name("attn_norm"));
    const q = await normHeads(await project(normed, name("attn_q")), name("attn_q_norm"), shape.heads);
    const k = await normHeads(await project(normed, name("attn_k")), name("attn_k_norm"), shape.kvHeads);
    const v = await project(normed, name("attn_v"));
    const rotary = isGlobal ? globalRotary : localRotary;
    const attended = attend(layer, [q, k, v], rotary, isGlobal ? -1 : (shape.window ?? -1));
    const attention = await afterwards(
      await project(attended, name("attn_output")),
      name("post_attention_norm"),
    );
    const middle = graph.node("Add", [x, attention]);

    const input = await norm(middle, name("ffn_norm"));
    const gate = await project(input, name("ffn_gate"));
    const activated = isGemma
      ? graph.node("Gelu", [gate], { attributes: { approximate: { text: "tanh" } } })
      : graph.node("Mul", [gate, graph.node("Sigmoid", [gate])]);
    const product = graph.node("Mul", [activated, await project(input, name("ffn_up"))]);
    const down = await afterwards(await project(product, name("ffn_down")), name("post_ffw_norm"));
    return graph.node("Add", [middle, down]);
  }

  const embedding = await storeMatrices(data, weights, ["token_embd.weight"]);
  let x = gatherRows(graph, "token_embd.weight", embedding, tokens);
  if (isGemma) {
    x = graph.node("Mul", [x, graph.constant("embedding.scale", "float32", [], [Math.sqrt(shape.width)])]);
  }
  for (let layer = 0; layer < shape.layers; layer++) x = await block(layer, x);
  const last = graph.node("Slice", [x, int64("from", [-1]), int64("to", [2 ** 31 - 1]), int64("axis", [1])]);
  const hidden = await norm(last, "output_norm.weight");
  const head = weights.tensors.has("output.weight")
    ? await storeMatrices(data, weights, ["output.weight"])
    : embedding;
  linear(graph, "head", head, hidden, PLAIN_PORTS.logits);
  graph.output(PLAIN_PORTS.logits, "float32", [1, 1, shape.vocabularySize]);
  return { shape, graph: graph.encode() };
}
