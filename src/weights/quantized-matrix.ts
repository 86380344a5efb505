import { asBytes, type ExternalData, type StoredTensor } from "./external-data.ts";
import type { WeightFile } from "./gguf.ts";
import { CONTRIB, type OnnxGraph } from "./onnx-graph.ts";
import { BLOCK_SIZE, QUANTIZED_BITS, quantizeBlocks } from "./quantize.ts";

/** A weight matrix (rows, columns) in 8-bit blocks along the columns, in the external data. */
export interface QuantizedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly codes: StoredTensor;
  readonly scales: StoredTensor;
}

/** At most this many weights are held as float32 at once: 16 MiB. */
const PIECE_WEIGHTS = 1 << 22;

/** Stores a matrix given as float32 pieces of whole rows, quantised. */
export async function storeQuantized(
  data: ExternalData,
  rows: number,
  columns: number,
  pieces: Iterable<Float32Array> | AsyncIterable<Float32Array>,
): Promise<QuantizedMatrix> {
  const scales = new Float32Array((rows * columns) / BLOCK_SIZE);
  let blocks = 0;
  async function* codes(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      const quantized = quantizeBlocks(piece);
      scales.set(quantized.scales, blocks);
      blocks += quantized.scales.length;
      yield quantized.codes;
    }
  }
  return {
    rows,
    columns,
    codes: await data.store("uint8", [rows, columns / BLOCK_SIZE, BLOCK_SIZE], codes()),
    scales: await data.store("float32", [scales.length], [asBytes(scales)]),
  };
}

/** Stores the named weight matrices, one below the other, quantised. */
export async function storeMatrices(
  data: ExternalData,
  weights: WeightFile,
  names: readonly string[],
): Promise<QuantizedMatrix> {
  const matrices = names.map((name) => matrixShape(weights, name));
  const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
  const columns = matrices[0]?.columns ?? 0;
  const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / columns));
  async function* pieces(): AsyncGenerator<Float32Array> {
    for (const matrix of matrices) {
      for (let first = 0; first < matrix.rows; first += pieceRows) {
        yield await weights.rows(matrix.name, first, Math.min(pieceRows, matrix.rows - first));
      }
    }
  }
  return storeQuantized(data, rows, columns, pieces());
}

function matrixShape(weights: WeightFile, name: string): { name: string; rows: number; columns: number } {
  const shape = weights.tensors.get(name)?.shape;
  const [rows, columns] = shape ?? [];
  if (rows === undefined || columns === undefined || shape?.length !== 2) {
    throw new Error(
      `weight file: expected a matrix ${name}, got ${shape ? `shape (${shape.join(", ")})` : "none"}`,
    );
  }
  return { name, rows, columns };
}

/** x (…, columns) → x Wᵀ (…, rows). */
export function linear(
  graph: OnnxGraph,
  name: string,
  matrix: QuantizedMatrix,
  x: string,
  output?: string,
): string {
  const codes = graph.external(`${name}.codes`, matrix.codes);
  const scales = graph.external(`${name}.scales`, matrix.scales);
  return graph.node("MatMulNBits", [x, codes, scales], {
    domain: CONTRIB,
    attributes: {
      K: { int: matrix.columns },
      N: { int: matrix.rows },
      bits: { int: QUANTIZED_BITS },
      block_size: { int: BLOCK_SIZE },
      // Quantises x to 8 bits too: integer products, the fast path.
      accuracy_level: { int: 4 },
    },
    ...(output === undefined ? {} : { outputs: [output] }),
  });
}

/** Token ids (b, t) → rows of the matrix (b, t, columns). */
export function gatherRows(
  graph: OnnxGraph,
  name: string,
  matrix: QuantizedMatrix,
  ids: string,
  output?: string,
): string {
  const blocks = matrix.columns / BLOCK_SIZE;
  const codes = graph.external(`${name}.codes`, { ...matrix.codes, dims: [matrix.rows, matrix.columns] });
  const scales = graph.external(`${name}.scales`, { ...matrix.scales, dims: [matrix.rows, blocks] });
  return graph.node("GatherBlockQuantized", [codes, ids, scales], {
    domain: CONTRIB,
    attributes: {
      gather_axis: { int: 0 },
      quantize_axis: { int: 1 },
      block_size: { int: BLOCK_SIZE },
      bits: { int: QUANTIZED_BITS },
    },
    ...(output === undefined ? {} : { outputs: [output] }),
  });
}
