import koffi from "koffi";
import type { onnx as Onnx } from "onnx-proto";
import { GRAPH_PORTS } from "../../../src/weights/graph-ports.ts";
import { nativeCode, nativeFloats } from "../native-memory.ts";
import {
  appendCode,
  attendCode,
  ATTENTION,
  attentionConstants,
  MOST_QUERIES,
  type AttentionShape,
} from "./attention-kernels.ts";
import { ATTENTION_OPERATOR, ATTENTION_OPERATOR_END, attentionCode } from "./attention-operator.ts";
import { behind, DOMAIN, TYPES, type Functions, type Operator } from "./operator.ts";
import type { TakenNodes } from "./products.ts";

/** Inputs and outputs of GroupQueryAttention, by place. */
const INPUT = { q: 0, k: 1, v: 2, pastKey: 3, pastValue: 4, lastIndex: 5, total: 6, cos: 7, sin: 8 } as const;
const ATTRIBUTES = new Set([
  "num_heads",
  "kv_num_heads",
  "scale",
  "do_rotary",
  "rotary_interleaved",
  "local_window_size",
]);
const HEADS_ALIGNMENT = 32;
/** Sees everything before it. */
const NO_WINDOW = 2 ** 31 - 1;

interface Attention {
  readonly node: Onnx.INodeProto;
  readonly shape: AttentionShape;
  /** Queries, keys and values come as one. */
  readonly packed: boolean;
  readonly window: number;
  readonly positions: number;
}

/**
 * Makes the attentions of a graph (GroupQueryAttention with rotary positions) nodes of ours, whose cache is in halves and
 * is only an input: it is written to in place, and no present goes out. Inputs that nobody else reads are the graph's no more.
 * @param threads that share an attention
 * @returns null where there is none, or one that is not like the others or not like ours
 */
export function takeAttentions(
  graph: Onnx.IGraphProto,
  threads: number,
  functions: Functions,
): TakenNodes | null {
  const nodes = graph.node?.filter(({ opType }) => opType === "GroupQueryAttention") ?? [];
  const attentions = nodes.flatMap((node) => attentionOf(graph, node) ?? []);
  const [first] = attentions;
  if (first === undefined || attentions.length < nodes.length) return null;
  const { shape, packed } = first;
  const same = JSON.stringify([shape, packed]);
  if (attentions.some((other) => JSON.stringify([other.shape, other.packed]) !== same)) return null;

  const numbers = attentionConstants(shape);
  const constants = nativeFloats(numbers.length);
  constants.values.set(numbers);
  const at = koffi.address(constants.values);
  const code = nativeCode([
    attentionCode(shape, packed, functions),
    appendCode(shape, at),
    ...Array.from({ length: MOST_QUERIES }, (_, i) => attendCode(shape, at, i + 1)),
  ]);
  const [compute = 0n, append = 0n, ...attend] = code.addresses;
  const inputsBefore = new Set(attentions.flatMap(({ node }) => node.input ?? []));
  const caches = new Set<string>();
  const presents = new Set<string>();
  const operators = attentions.map(({ node, window, positions }, i): Operator => {
    const inputs = node.input ?? [];
    const fresh = packed ? [INPUT.q] : [INPUT.q, INPUT.k, INPUT.v];
    const kept = [...fresh, INPUT.pastKey, INPUT.pastValue, INPUT.lastIndex, INPUT.cos, INPUT.sin];
    for (const place of [INPUT.pastKey, INPUT.pastValue]) caches.add(inputs[place]!);
    for (const name of node.output?.slice(1) ?? []) presents.add(name);
    const name = `Attention${i}`;
    node.opType = name;
    node.domain = DOMAIN;
    node.attribute = [];
    // The whole length also where there is a window: the cache is always given whole.
    node.input = kept.map((place) => (place === INPUT.lastIndex ? GRAPH_PORTS.lastIndex : inputs[place]!));
    node.output = node.output?.slice(0, 1) ?? [];
    const { float32, int32, uint16 } = TYPES;
    return {
      name,
      inputTypes: [...fresh.map(() => float32), uint16, uint16, int32, float32, float32],
      outputTypes: [TYPES.float32],
      compute,
      own: {
        [ATTENTION_OPERATOR.threads]: threads,
        [ATTENTION_OPERATOR.append]: append,
        ...Object.fromEntries(attend.map((address, n) => [ATTENTION_OPERATOR.attend + 8 * n, address])),
        ...behind(ATTENTION_OPERATOR.attention, {
          [ATTENTION.window]: window,
          [ATTENTION.positions]: positions,
        }),
      },
      ownEnd: ATTENTION_OPERATOR_END,
    };
  });
  graph.output = graph.output?.filter(({ name }) => !presents.has(name ?? "")) ?? [];
  const used = new Set(graph.node?.flatMap(({ input }) => input ?? []));
  graph.input =
    graph.input?.filter(({ name = "" }) => used.has(name ?? "") || !inputsBefore.has(name ?? "")) ?? [];
  for (const { name, type } of graph.input) {
    if (caches.has(name ?? "")) type!.tensorType!.elemType = TYPES.uint16;
  }
  return {
    operators,
    release() {
      constants.release();
      code.release();
    },
  };
}

/** Null where it is not one that is computed here. */
function attentionOf(graph: Onnx.IGraphProto, node: Onnx.INodeProto): Attention | null {
  const attributes = new Map(node.attribute?.map((attribute) => [attribute.name ?? "", attribute]));
  const integer = (name: string): number => Number(attributes.get(name)?.i ?? 0);
  const inputs = node.input ?? [];
  const cache = graph.input?.find(({ name }) => name === inputs[INPUT.pastKey]);
  const headSize = Number(cache?.type?.tensorType?.shape?.dim?.[3]?.dimValue ?? 0);
  const positions = graph.initializer?.find(({ name }) => name === inputs[INPUT.cos])?.dims?.[0];
  const [heads, kvHeads, window] = [
    integer("num_heads"),
    integer("kv_num_heads"),
    integer("local_window_size"),
  ];
  const scale = attributes.get("scale")?.f ?? 0;
  const ours =
    [...attributes.keys()].every((name) => ATTRIBUTES.has(name)) &&
    integer("do_rotary") === 1 &&
    headSize > 0 &&
    headSize % HEADS_ALIGNMENT === 0 &&
    heads % kvHeads === 0 &&
    scale > 0 &&
    positions !== undefined;
  if (!ours) return null;
  const interleaved = integer("rotary_interleaved") === 1;
  return {
    node,
    shape: { heads, kvHeads, headSize, interleaved, scale },
    packed: !inputs[INPUT.k],
    window: window > 0 ? window : NO_WINDOW,
    positions: Number(positions),
  };
}
