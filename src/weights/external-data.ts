export type ElementType = "float32" | "uint8" | "int32" | "int64";

/** Takes the bytes of the external data file in order. The bytes may be reused by the caller once the promise resolves. */
export type ByteSink = (bytes: Uint8Array) => Promise<void>;

/** Where a constant's bytes lie in the external data file. */
export interface StoredTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** File name, relative to the graph's folder. */
  readonly location: string;
  readonly offset: number;
  readonly byteLength: number;
}

/** The file beside a graph that holds its large constants. Graphs may share one. */
export interface ExternalData {
  /** Bytes written so far. */
  readonly byteLength: number;
  /** Appends one tensor whose little-endian bytes come in pieces. */
  store(
    type: ElementType,
    dims: readonly number[],
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<StoredTensor>;
}

/** onnxruntime maps a tensor into memory rather than reading it when it begins on a page. */
const PAGE_BYTES = 4096;
const ELEMENT_BYTES = { float32: 4, uint8: 1, int32: 4, int64: 8 } as const satisfies Record<
  ElementType,
  number
>;

export function createExternalData(location: string, sink: ByteSink): ExternalData {
  let written = 0;
  return {
    get byteLength() {
      return written;
    },
    async store(type, dims, pieces) {
      const padding = (PAGE_BYTES - (written % PAGE_BYTES)) % PAGE_BYTES;
      if (padding > 0) await sink(new Uint8Array(padding));
      const offset = written + padding;
      written = offset;
      for await (const piece of pieces) {
        await sink(piece);
        written += piece.byteLength;
      }
      const byteLength = written - offset;
      const expected = dims.reduce((product, size) => product * size, ELEMENT_BYTES[type]);
      if (byteLength !== expected) {
        throw new RangeError(
          `external data: a ${type} tensor (${dims.join(", ")}) has ${expected} bytes, ${byteLength} came`,
        );
      }
      return { type, dims, location, offset, byteLength };
    },
  };
}

/** The bytes of a typed array, shared, not copied. Typed arrays and ONNX are both little-endian here. */
export function asBytes(values: Float32Array | Uint8Array | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
