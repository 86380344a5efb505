import type { ByteSource } from "./byte-source.ts";
import {
  blockLayout,
  dequantize,
  splitLowBits,
  tensorTypes,
  typeNumbered,
  type LowBitBlocks,
} from "./dequantize.ts";
import { ggufLimits, readGgufHeader, type TensorEntry } from "./gguf-header.ts";
import { createMetadata, type Metadata } from "./metadata.ts";

export interface TensorInfo {
  readonly name: string;
  /** As ggml names it: `Q4_1`. */
  readonly type: string;
  /** Row-major: [rows, columns]; GGUF's own order is the reverse. */
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Bytes in the file. */
  readonly bytes: number;
}

/** A weight file: its header in memory, its tensors read when asked for. */
export interface WeightFile {
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** All values as float32, row-major. @throws RangeError when there is no such tensor */
  tensor(name: string): Promise<Float32Array>;
  /**
   * `count` rows from `first` on, as float32, row-major (count, columns). A row is the last axis.
   * @throws RangeError when there is no such tensor or no such rows
   */
  rows(name: string, first: number, count: number): Promise<Float32Array>;
  /** The same rows as codes of few bits, of a tensor whose type has `lowBitsOf`. @throws TypeError on another */
  lowBitRows(name: string, first: number, count: number): Promise<LowBitBlocks>;
}

/**
 * Opens a GGUF file (version 2 or 3, little-endian).
 * @throws Error when the file breaks the format or `ggufLimits`
 */
export async function openGguf(source: ByteSource): Promise<WeightFile> {
  const header = await readGgufHeader(source);
  const alignment = checkAlignment(header.metadata.get("general.alignment") ?? 32);
  const dataStart = Math.ceil(header.bytes / alignment) * alignment;
  const tensors = new Map<string, TensorInfo>();
  for (const entry of header.tensors) {
    tensors.set(entry.name, locateTensor(entry, dataStart, alignment, source.size));
  }
  return createWeightFile(source, createMetadata(header.metadata), tensors);
}

function checkAlignment(value: unknown): number {
  const valid =
    typeof value === "number" && value >= 8 && value <= ggufLimits.alignment && Math.log2(value) % 1 === 0;
  if (valid) return value;
  throw new Error(
    `gguf: general.alignment: expected a power of two from 8 to ${ggufLimits.alignment} (alignment), got ${String(value)}`,
  );
}

/** Type, shape and place of a tensor, each checked against the file. */
function locateTensor(
  entry: TensorEntry,
  dataStart: number,
  alignment: number,
  fileSize: number,
): TensorInfo {
  const { name } = entry;
  const type = typeNumbered(entry.typeNumber);
  if (type === undefined) {
    throw new Error(
      `gguf: tensor ${name}: expected a type of ${tensorTypes.join(", ")}, got the one numbered ${entry.typeNumber}`,
    );
  }
  const block = blockLayout(type);
  const shape = entry.extents.toReversed();
  const columns = shape.at(-1) ?? 0;
  if (columns % block.elements !== 0) {
    throw new Error(
      `gguf: tensor ${name}: expected columns in ${type} blocks of ${block.elements}, got ${columns}`,
    );
  }
  const bytes = (shape.reduce((product, extent) => product * extent, 1) / block.elements) * block.bytes;
  const offset = dataStart + Number(entry.dataOffset);
  if (entry.dataOffset % BigInt(alignment) !== 0n) {
    throw new Error(
      `gguf: tensor ${name}: expected an offset in steps of ${alignment}, got ${entry.dataOffset}`,
    );
  }
  if (!(offset + bytes <= fileSize)) {
    throw new Error(
      `gguf: tensor ${name}: expected ${bytes} bytes at ${offset} within the file, which has ${fileSize} bytes`,
    );
  }
  return { name, type, shape, offset, bytes };
}

function createWeightFile(
  source: ByteSource,
  metadata: Metadata,
  tensors: ReadonlyMap<string, TensorInfo>,
): WeightFile {
  const find = (name: string): TensorInfo => {
    const info = tensors.get(name);
    if (info === undefined) throw new RangeError(`weights: no tensor ${name} among ${tensors.size}`);
    return info;
  };
  const read = async (name: string, first: number, count: number): Promise<[string, Uint8Array]> => {
    const { type, shape, offset, bytes } = find(name);
    const rows = shape.slice(0, -1).reduce((product, extent) => product * extent, 1);
    if (
      !Number.isSafeInteger(first) ||
      !Number.isSafeInteger(count) ||
      first < 0 ||
      count < 0 ||
      first + count > rows
    ) {
      throw new RangeError(`weights: ${count} rows from ${first} asked of ${name}, which has ${rows} rows`);
    }
    const rowBytes = bytes / rows;
    return [type, await source.read(offset + first * rowBytes, count * rowBytes)];
  };
  return {
    metadata,
    tensors,
    async tensor(name) {
      const { type, offset, bytes } = find(name);
      return dequantize(type, await source.read(offset, bytes));
    },
    rows: async (name, first, count) => dequantize(...(await read(name, first, count))),
    lowBitRows: async (name, first, count) => splitLowBits(...(await read(name, first, count))),
  };
}
