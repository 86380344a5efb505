import { asBytes, type ExternalData, type StoredTensor } from "./external-data.ts";
import { lowBitsOf } from "./dequantize.ts";
import type { WeightFile } from "./gguf.ts";
import { CONTRIB, type OnnxGraph } from "./onnx-graph.ts";
import { BLOCK_SIZE, QUANTIZED_BITS, quantizeBlocks } from "./quantize.ts";

/** A weight matrix (rows, columns) in blocks along the columns, in the external data. */
export interface QuantizedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly bits: 4 | 5 | 8;
  /** A byte each. */
  readonly codes: StoredTensor;
  readonly scales: StoredTensor;
  /** Of 8 bits null: codes are symmetric about 128. */
  readonly minima: StoredTensor | null;
}

/** A product with weights of 4 or 5 bits, w = s · code + m in each block: an operator that onnxruntime has not. */
export const LOW_BIT_PRODUCT = "LowBitProduct";

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
    bits: QUANTIZED_BITS,
    codes: await data.store("uint8", [rows, columns / BLOCK_SIZE, BLOCK_SIZE], codes()),
    scales: await data.store("float32", [scales.length], [asBytes(scales)]),
    minima: null,
  };
}

/** Stores the named weight matrices, one below the other, quantised to 8 bits. */
export async function storeMatrices(
  data: ExternalData,
  weights: WeightFile,
  names: readonly string[],
): Promise<QuantizedMatrix> {
  const matrices = names.map((name) => matrixNamed(weights, name));
  const { rows, columns } = stacked(matrices);
  return storeQuantized(
    data,
    rows,
    columns,
    inPieces(matrices, (name, first, count) => weights.rows(name, first, count)),
  );
}

/** The same as the file has them, where all have 4 or 5 bits; else null. */
export async function storeLowBitMatrices(
  data: ExternalData,
  weights: WeightFile,
  names: readonly string[],
): Promise<QuantizedMatrix | null> {
  const matrices = names.map((name) => matrixNamed(weights, name));
  const bits = matrices.map(({ type }) => lowBitsOf(type));
  if (!bits.every((few) => few !== null)) return null;
  const { rows, columns } = stacked(matrices);
  const [scales, minima]: [Uint8Array[], Uint8Array[]] = [[], []];
  async function* codes(): AsyncGenerator<Uint8Array> {
    const pieces = inPieces(matrices, (name, first, count) => weights.lowBitRows(name, first, count));
    for await (const piece of pieces) {
      scales.push(asBytes(piece.scales));
      minima.push(asBytes(piece.minima));
      yield piece.codes;
    }
  }
  const blocks = (rows * columns) / BLOCK_SIZE;
  return {
    rows,
    columns,
    bits: bits.includes(5) ? 5 : 4,
    codes: await data.store("uint8", [rows, columns / BLOCK_SIZE, BLOCK_SIZE], codes()),
    scales: await data.store("float32", [blocks], scales),
    minima: await data.store("float32", [blocks], minima),
  };
}

interface NamedMatrix {
  readonly name: string;
  readonly type: string;
  readonly rows: number;
  readonly columns: number;
}

function matrixNamed(weights: WeightFile, name: string): NamedMatrix {
  const { shape, type = "" } = weights.tensors.get(name) ?? {};
  const [rows, columns] = shape ?? [];
  if (rows === undefined || columns === undefined || shape?.length !== 2) {
    throw new Error(
      `weight file: expected a matrix ${name}, got ${shape ? `shape (${shape.join(", ")})` : "none"}`,
    );
  }
  return { name, type, rows, columns };
}

function stacked(matrices: readonly NamedMatrix[]): { rows: number; columns: number } {
  return {
    rows: matrices.reduce((sum, matrix) => sum + matrix.rows, 0),
    columns: matrices[0]?.columns ?? 0,
  };
}

async function* inPieces<T>(
  matrices: readonly NamedMatrix[],
  read: (name: string, first: number, count: number) => Promise<T>,
): AsyncGenerator<T> {
  for (const { name, rows, columns } of matrices) {
    const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / columns));
    for (let first = 0; first < rows; first += pieceRows) {
      yield await read(name, first, Math.min(pieceRows, rows - first));
    }
  }
}

/** x (…, columns) → x Wᵀ (…, rows), by an operator of onnxruntime, or with few bits by `LOW_BIT_PRODUCT`. */
export function linear(
  graph: OnnxGraph,
  name: string,
  matrix: QuantizedMatrix,
  x: string,
  output?: string,
): string {
  const codes = graph.external(`${name}.codes`, matrix.codes);
  const scales = graph.external(`${name}.scales`, matrix.scales);
  const options = {
    attributes: {
      K: { int: matrix.columns },
      N: { int: matrix.rows },
      bits: { int: matrix.bits },
      block_size: { int: BLOCK_SIZE },
      // Quantises x to 8 bits too: integer products, the fast path.
      accuracy_level: { int: 4 },
    },
    ...(output === undefined ? {} : { outputs: [output] }),
  };
  if (matrix.minima === null) {
    return graph.node("MatMulNBits", [x, codes, scales], { domain: CONTRIB, ...options });
  }
  const minima = graph.external(`${name}.minima`, matrix.minima);
  return graph.node(LOW_BIT_PRODUCT, [x, codes, scales, minima], options);
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
