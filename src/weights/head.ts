import { asBytes, createExternalData, type ByteSink, type StoredTensor } from "./external-data.ts";
import { GRAPH_PORTS } from "./graph-ports.ts";
import { createOnnxGraph } from "./onnx-graph.ts";
import { linear, type QuantizedMatrix, storeQuantized } from "./quantized-matrix.ts";

/** Writes the graph states (n, width) → logits (n, V) = states Wᵀ + bias. */
export function buildHead(matrix: QuantizedMatrix, bias: StoredTensor | null): Uint8Array<ArrayBuffer> {
  const graph = createOnnxGraph("head");
  const states = graph.input(GRAPH_PORTS.states, "float32", ["n", matrix.columns]);
  if (bias === null) {
    linear(graph, "head", matrix, states, GRAPH_PORTS.logits);
  } else {
    const product = linear(graph, "head", matrix, states);
    graph.node("Add", [product, graph.external("head.bias", bias)], { outputs: [GRAPH_PORTS.logits] });
  }
  graph.output(GRAPH_PORTS.logits, "float32", ["n", matrix.rows]);
  return graph.encode();
}

/** A decoder's matrix (V, k) and bias (V). */
export interface LinearDecoder {
  readonly vocabularySize: number;
  readonly width: number;
  /** Rows `first` to `first + count` of the matrix, row-major (count, k). */
  rows(first: number, count: number): Float32Array;
  readonly bias: Float32Array | null;
}

const ROWS_PER_PIECE = 4096;

/**
 * Writes the graph states (n, k) → logits (n, V) of a linear decoder, its matrix in 8-bit blocks in the external data.
 * @throws RangeError when k is no multiple of 32
 */
export async function buildLinearDecoder(
  decoder: LinearDecoder,
  location: string,
  sink: ByteSink,
): Promise<Uint8Array<ArrayBuffer>> {
  const data = createExternalData(location, sink);
  const { vocabularySize, width, bias } = decoder;
  function* pieces(): Generator<Float32Array> {
    for (let first = 0; first < vocabularySize; first += ROWS_PER_PIECE) {
      yield decoder.rows(first, Math.min(ROWS_PER_PIECE, vocabularySize - first));
    }
  }
  const matrix = await storeQuantized(data, vocabularySize, width, pieces());
  const storedBias = bias === null ? null : await data.store("float32", [vocabularySize], [asBytes(bias)]);
  return buildHead(matrix, storedBias);
}
