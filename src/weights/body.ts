import { type SequenceLengths, sequenceLengths } from "./attention.ts";
import type { ExternalData } from "./external-data.ts";
import type { WeightFile } from "./gguf.ts";
import { GRAPH_PORTS } from "./graph-ports.ts";
import type { ModelShape } from "./model-shape.ts";
import { createOnnxGraph, type OnnxGraph } from "./onnx-graph.ts";
import {
  gatherRows,
  linear,
  type QuantizedMatrix,
  storeLowBitMatrices,
  storeMatrices,
} from "./quantized-matrix.ts";

/** What an architecture writes its blocks with. */
export interface Body {
  readonly graph: OnnxGraph;
  readonly data: ExternalData;
  readonly shape: ModelShape;
  readonly lengths: SequenceLengths;
  /** Root mean square norm over the last axis, x / √(mean x² + ε) · w. Zhang & Sennrich 2019. */
  norm(x: string, weight: string, output?: string): Promise<string>;
  /** x Wᵀ for the named matrix, or for several one below the other. */
  project(x: string, ...names: readonly string[]): Promise<string>;
}

/** An architecture's part of the graph. */
export interface Blocks {
  /** The residual stream as it enters the first block, from the embedding's rows. */
  embed(rows: string): string;
  /** The residual stream after block `layer`, under the name `output`. */
  block(layer: number, x: string, output: string): Promise<string>;
}

export type Architecture = (body: Body) => Promise<Blocks>;

export interface BodyOptions {
  readonly weights: WeightFile;
  readonly data: ExternalData;
  readonly shape: ModelShape;
  readonly architecture: Architecture;
  readonly embedding: QuantizedMatrix;
  /** Matrices that the file has in 4 or 5 bits stay so. */
  readonly lowBits: boolean;
}

/** Writes the graph from token ids to the final hidden states, every residual stream an output. */
export async function buildBody(options: BodyOptions): Promise<Uint8Array<ArrayBuffer>> {
  const { weights, data, shape, lowBits } = options;
  const graph = createOnnxGraph("body");
  const tokens = graph.input(GRAPH_PORTS.tokens, "int64", ["b", "t"]);
  const lengths = sequenceLengths(graph, shape);
  const body: Body = {
    graph,
    data,
    shape,
    lengths,
    async norm(x, name, output) {
      const weight = await weights.tensor(name);
      const inputs = [x, graph.constant(name, "float32", [weight.length], weight)];
      return graph.node("SimplifiedLayerNormalization", inputs, {
        attributes: { axis: { int: -1 }, epsilon: { float: shape.epsilon } },
        ...(output === undefined ? {} : { outputs: [output] }),
      });
    },
    async project(x, ...names) {
      const few = lowBits ? await storeLowBitMatrices(data, weights, names) : null;
      return linear(graph, names.join("+"), few ?? (await storeMatrices(data, weights, names)), x);
    },
  };
  const blocks = await options.architecture(body);

  const tap = (layer: number) => {
    graph.output(GRAPH_PORTS.residual(layer), "float32", ["b", "t", shape.width]);
    return GRAPH_PORTS.residual(layer);
  };
  const rows = gatherRows(graph, "token_embd.weight", options.embedding, tokens);
  let x = graph.node("Identity", [blocks.embed(rows)], { outputs: [tap(0)] });
  for (let layer = 0; layer < shape.layers; layer++) {
    x = await blocks.block(layer, x, tap(layer + 1));
  }
  await body.norm(x, "output_norm.weight", GRAPH_PORTS.hidden);
  graph.output(GRAPH_PORTS.hidden, "float32", ["b", "t", shape.width]);
  return graph.encode();
}
