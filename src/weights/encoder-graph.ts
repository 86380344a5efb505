import onnxProto, { type onnx as Onnx } from "onnx-proto";
import { GRAPH_PORTS } from "./graph-ports.ts";

// The package is CommonJS and its names cannot be imported one by one.
const { onnx } = onnxProto;

/** Names of an exported encoder's own inputs and result. */
export const ENCODER_PORTS = {
  tokens: "input_ids",
  mask: "attention_mask",
  /** Not every export has it. */
  types: "token_type_ids",
  lastHidden: "last_hidden_state",
} as const;

/** Sizes of an encoder, as its graph has them. */
export interface EncoderShape {
  /** L. */
  readonly layers: number;
  /** d. */
  readonly width: number;
}

export interface TappedEncoder {
  /** The ModelProto bytes, with an output `residual.{l}` for each layer l from 0 (embeddings) to L. */
  readonly graph: Uint8Array<ArrayBuffer>;
  readonly shape: EncoderShape;
  /** Names of the graph's inputs. */
  readonly inputs: readonly string[];
}

/**
 * Makes every layer's residual stream an output of an exported BERT-like encoder, whatever its weights' precision.
 *
 * Such a graph normalises after each residual sum (Devlin et al. 2019): once for the embeddings, then twice a layer,
 * after attention and after the feed-forward part. Normalisation 2l, counted from 0, is therefore the residual stream
 * r_l after layer l, and the last one, 2L, is `last_hidden_state`. A normalisation is either one operator or the chain
 *   x̂ = (x − mean(x)) / √(mean((x − mean(x))²) + ε),  y = x̂ · γ + β
 * written out; an attention is a softmax, or one operator. The counts must bear this out.
 * @param model bytes of an ONNX file that holds its weights itself
 * @throws Error for a graph of another kind, saying what was looked for and what is there
 */
export function tapEncoderGraph(model: Uint8Array): TappedEncoder {
  const proto = decodeModel(model);
  const { graph } = proto;
  if (!graph) throw new Error("encoder graph: expected an ONNX model with a graph, got one without");
  const nodes = graph.node ?? [];
  const inputs = (graph.input ?? []).map(({ name }) => name ?? "");
  for (const needed of [ENCODER_PORTS.tokens, ENCODER_PORTS.mask]) {
    if (!inputs.includes(needed)) throw unreadable(`an input ${needed}`, inputs.join(", ") || "none");
  }
  const known: readonly string[] = [ENCODER_PORTS.tokens, ENCODER_PORTS.mask, ENCODER_PORTS.types];
  const strange = inputs.find((name) => !known.includes(name));
  if (strange !== undefined) throw unreadable(`no inputs but ${known.join(", ")}`, strange);

  const last = graph.output?.find(({ name }) => name === ENCODER_PORTS.lastHidden);
  const width = lastExtent(last);
  if (!last || width === null) {
    const found = (graph.output ?? []).map(({ name }) => name).join(", ");
    throw unreadable(`an output ${ENCODER_PORTS.lastHidden} of a fixed width`, found || "none");
  }
  const norms = normalisations(nodes);
  const attentions = nodes.filter(({ opType }) => ATTENTIONS.has(opType ?? "")).length;
  if (attentions === 0 || norms.length !== 2 * attentions + 1) {
    throw unreadable(
      "an odd number of layer normalisations, two for each attention and one for the embeddings",
      `${norms.length} and ${attentions} attentions`,
    );
  }
  if (norms.at(-1) !== ENCODER_PORTS.lastHidden) {
    throw unreadable(
      `${ENCODER_PORTS.lastHidden} to be the last normalisation's result`,
      String(norms.at(-1)),
    );
  }
  for (let layer = 0; layer <= attentions; layer++) {
    const name = GRAPH_PORTS.residual(layer);
    nodes.push({ opType: "Identity", name, input: [norms[2 * layer] ?? ""], output: [name] });
    graph.output?.push({ ...last, name });
  }
  // A copy of exact length: the encoder returns a view into a pooled buffer.
  const bytes = new Uint8Array(onnx.ModelProto.encode(proto).finish());
  return { graph: bytes, shape: { layers: attentions, width }, inputs };
}

function decodeModel(model: Uint8Array): Onnx.ModelProto {
  try {
    return onnx.ModelProto.decode(model);
  } catch (cause) {
    throw new Error("encoder graph: expected an ONNX model, got other bytes", { cause });
  }
}

const unreadable = (expected: string, found: string): Error =>
  new Error(
    `encoder graph: expected ${expected}, got ${found}. Only BERT-like encoders exported for feature extraction can be read.`,
  );

/** Size of a value's last dimension; null where it is not fixed. */
function lastExtent(value: Onnx.IValueInfoProto | undefined): number | null {
  const size = Number(value?.type?.tensorType?.shape?.dim?.at(-1)?.dimValue ?? 0);
  return size > 0 ? size : null;
}

/** An attention has exactly one of these. */
const ATTENTIONS: ReadonlySet<string> = new Set([
  "Softmax",
  "Attention",
  "QAttention",
  "MultiHeadAttention",
  "PackedAttention",
]);

/** Operators that normalise by themselves; their first result is the normalised one. */
const NORMALISATIONS: ReadonlySet<string> = new Set([
  "LayerNormalization",
  "SkipLayerNormalization",
  "EmbedLayerNormalization",
]);

/** Names of the normalised values, in the graph's order, which is one of computation. */
function normalisations(nodes: readonly Onnx.INodeProto[]): string[] {
  const maker = new Map(nodes.flatMap((node) => (node.output ?? []).map((name) => [name, node] as const)));
  const made = (node: Onnx.INodeProto, operators: readonly string[]): Onnx.INodeProto[] =>
    (node.input ?? []).flatMap((name) => {
      const source = maker.get(name);
      return source && operators.includes(source.opType ?? "") ? [source] : [];
    });
  /** x̂ · γ + β with x̂ = (x − mean) / √(…): told from other sums by the square root that divides. */
  const isChain = (node: Onnx.INodeProto): boolean =>
    node.opType === "Add" &&
    made(node, ["Mul"]).some((product) =>
      made(product, ["Div"]).some((quotient) => made(quotient, ["Sqrt"]).length > 0),
    );
  return nodes.flatMap((node) =>
    NORMALISATIONS.has(node.opType ?? "") || isChain(node) ? [node.output?.[0] ?? ""] : [],
  );
}
