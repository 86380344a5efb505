import { gguf, GGMLQuantizationType, type GGUFTensorInfo } from "@huggingface/gguf";
import type { ByteSource } from "./byte-source.ts";
import { blockLayout, dequantize, tensorTypes } from "./dequantize.ts";
import { ggufLimits, scanHeader } from "./gguf-header.ts";
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
}

/**
 * Opens a GGUF file (version 2 or 3, little-endian).
 * @throws Error when the file breaks the format or `ggufLimits`
 */
export async function openGguf(source: ByteSource): Promise<WeightFile> {
  const header = await scanHeader(source);
  const parsed = await gguf(HEADER_ADDRESS, { fetch: rangeFetch(source) });
  const values = new Map<string, unknown>(Object.entries(parsed.metadata));
  restoreLastStrings(values, header.lastStrings);
  const alignment = checkAlignment(values.get("general.alignment") ?? 32);
  const dataStart = Math.ceil(header.bytes / alignment) * alignment;
  const tensors = new Map<string, TensorInfo>();
  for (const entry of parsed.tensorInfos) {
    tensors.set(entry.name, locateTensor(entry, dataStart, alignment, source.size));
  }
  return createWeightFile(source, createMetadata(values), tensors);
}

/** The parser wants an address; the bytes come from the source whatever it says. */
const HEADER_ADDRESS = "https://header.invalid/model.gguf";

/** Answers the parser's range requests from the source, cut where the source ends. */
function rangeFetch(source: ByteSource): typeof fetch {
  return async (_address, init) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get("range") ?? "");
    const first = Number(range?.[1]);
    const end = Math.min(Number(range?.[2]) + 1, source.size);
    if (!(first < end))
      throw new Error(`gguf: header asks for bytes from ${first} of a file of ${source.size} bytes`);
    return new Response(new Uint8Array(await source.read(first, end - first)));
  };
}

/** The parser cuts the last string of an array where one of its chunks happens to end: put the scanned one there. */
function restoreLastStrings(
  values: ReadonlyMap<string, unknown>,
  lastStrings: ReadonlyMap<string, string>,
): void {
  for (const [key, last] of lastStrings) {
    const strings = values.get(key);
    if (Array.isArray(strings)) strings[strings.length - 1] = last;
  }
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
  entry: GGUFTensorInfo,
  dataStart: number,
  alignment: number,
  fileSize: number,
): TensorInfo {
  const { name } = entry;
  const type = GGMLQuantizationType[entry.dtype] ?? String(entry.dtype);
  if (!tensorTypes.includes(type)) {
    throw new Error(`gguf: tensor ${name}: expected a type of ${tensorTypes.join(", ")}, got ${type}`);
  }
  const block = blockLayout(type);
  const shape = entry.shape.map(Number).toReversed();
  const columns = shape.at(-1) ?? 0;
  if (columns % block.elements !== 0) {
    throw new Error(
      `gguf: tensor ${name}: expected columns in ${type} blocks of ${block.elements}, got ${columns}`,
    );
  }
  const bytes = (shape.reduce((product, extent) => product * extent, 1) / block.elements) * block.bytes;
  const offset = dataStart + Number(entry.offset);
  if (entry.offset % BigInt(alignment) !== 0n) {
    throw new Error(`gguf: tensor ${name}: expected an offset in steps of ${alignment}, got ${entry.offset}`);
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
  return {
    metadata,
    tensors,
    async tensor(name) {
      const { type, offset, bytes } = find(name);
      return dequantize(type, await source.read(offset, bytes));
    },
    async rows(name, first, count) {
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
      return dequantize(type, await source.read(offset + first * rowBytes, count * rowBytes));
    },
  };
}
