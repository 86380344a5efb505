import type { ByteSource } from "./byte-source.ts";

/**
 * What a GGUF header may ask for. Far above what published models have, low enough that no header takes more than
 * some hundred megabytes or a few seconds.
 */
export const ggufLimits = {
  /** Bytes before the tensor data; a vocabulary of 262,144 tokens takes 6.5 MB. */
  headerBytes: 32 * 2 ** 20,
  metadataEntries: 4096,
  metadataKeyBytes: 256,
  arrayLength: 1_000_000,
  stringBytes: 4 * 2 ** 20,
  tensors: 65_536,
  tensorNameBytes: 256,
  tensorDimensions: 4,
  /** 8 GiB as float32. */
  tensorElements: 2 ** 31,
  /** Bytes to which tensor data is aligned; a power of two. */
  alignment: 65_536,
} as const;

type MetadataScalar = string | number | bigint | boolean;

/** 64-bit integers are bigints. */
export type MetadataValue = MetadataScalar | readonly MetadataScalar[];

export interface TensorEntry {
  readonly name: string;
  /** As in the file: columns first. */
  readonly extents: readonly number[];
  readonly typeNumber: number;
  /** Bytes from the start of the tensor data. */
  readonly dataOffset: bigint;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: readonly TensorEntry[];
  /** Bytes from the magic to the last tensor entry, without the padding before the data. */
  readonly bytes: number;
}

/** Thrown and caught here only: the header goes on after the bytes at hand. */
class OutOfBytes extends Error {}

interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
}

/** Values may hold broken UTF-8, a leading byte order mark is a part of them. */
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
/** Names are compared, so they must decode without loss. */
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

function fail(message: string): never {
  throw new Error(`gguf: ${message}`);
}

function checkLimit(name: keyof typeof ggufLimits, what: string, value: number): void {
  if (value > ggufLimits[name]) fail(`${what}: expected at most ${ggufLimits[name]} (${name}), got ${value}`);
}

/** Steps over `bytes` and gives where they start. */
function take(cursor: Cursor, bytes: number): number {
  const start = cursor.at;
  if (start + bytes > cursor.bytes.length) throw new OutOfBytes();
  cursor.at += bytes;
  return start;
}

const readUint32 = (cursor: Cursor): number => cursor.view.getUint32(take(cursor, 4), true);

/** A 64-bit count as a number: exact up to 2⁵³, and above that still far over every limit. */
const readCount = (cursor: Cursor): number => Number(cursor.view.getBigUint64(take(cursor, 8), true));

function readString(cursor: Cursor, key: string): string {
  const length = readCount(cursor);
  checkLimit("stringBytes", `metadata ${key}: string length`, length);
  const start = take(cursor, length);
  return lenient.decode(cursor.bytes.subarray(start, start + length));
}

function readName(cursor: Cursor, limit: "metadataKeyBytes" | "tensorNameBytes", what: string): string {
  const length = readCount(cursor);
  checkLimit(limit, `${what}: length`, length);
  const start = take(cursor, length);
  try {
    return strict.decode(cursor.bytes.subarray(start, start + length));
  } catch {
    return fail(`${what}: expected UTF-8, got other bytes`);
  }
}

function readBoolean(cursor: Cursor, key: string): boolean {
  const byte = cursor.view.getUint8(take(cursor, 1));
  if (byte > 1) fail(`metadata ${key}: expected a boolean of 0 or 1, got ${byte}`);
  return byte === 1;
}

/** Readers of metadata values by type number. */
const readers: ReadonlyMap<number, (cursor: Cursor, key: string) => MetadataScalar> = new Map<
  number,
  (cursor: Cursor, key: string) => MetadataScalar
>([
  [0, (cursor) => cursor.view.getUint8(take(cursor, 1))],
  [1, (cursor) => cursor.view.getInt8(take(cursor, 1))],
  [2, (cursor) => cursor.view.getUint16(take(cursor, 2), true)],
  [3, (cursor) => cursor.view.getInt16(take(cursor, 2), true)],
  [4, readUint32],
  [5, (cursor) => cursor.view.getInt32(take(cursor, 4), true)],
  [6, (cursor) => cursor.view.getFloat32(take(cursor, 4), true)],
  [7, readBoolean],
  [8, readString],
  [10, (cursor) => cursor.view.getBigUint64(take(cursor, 8), true)],
  [11, (cursor) => cursor.view.getBigInt64(take(cursor, 8), true)],
  [12, (cursor) => cursor.view.getFloat64(take(cursor, 8), true)],
]);
const ARRAY = 9;

function readValue(cursor: Cursor, key: string): MetadataValue {
  const type = readUint32(cursor);
  const reader = readers.get(type);
  if (reader !== undefined) return reader(cursor, key);
  if (type !== ARRAY) fail(`metadata ${key}: expected a value type from 0 to 12, got ${type}`);
  const elementType = readUint32(cursor);
  const readElement = readers.get(elementType);
  if (readElement === undefined)
    fail(`metadata ${key}: expected an array of scalars or strings, got ${elementType}`);
  const length = readCount(cursor);
  checkLimit("arrayLength", `metadata ${key}: array length`, length);
  const elements: MetadataScalar[] = [];
  for (let i = 0; i < length; i++) elements.push(readElement(cursor, key));
  return elements;
}

function readMetadata(cursor: Cursor, count: number): Map<string, MetadataValue> {
  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < count; i++) {
    const key = readName(cursor, "metadataKeyBytes", `metadata key ${i}`);
    if (metadata.has(key)) fail(`metadata ${key}: expected every key once, got it again`);
    metadata.set(key, readValue(cursor, key));
  }
  return metadata;
}

function readExtents(cursor: Cursor, name: string): number[] {
  const dimensions = readUint32(cursor);
  if (dimensions < 1) fail(`tensor ${name}: expected at least one dimension, got none`);
  checkLimit("tensorDimensions", `tensor ${name}: dimensions`, dimensions);
  const extents: number[] = [];
  let elements = 1;
  for (let d = 0; d < dimensions; d++) {
    const extent = readCount(cursor);
    if (extent < 1) fail(`tensor ${name}: expected extents of at least 1, got ${extent} in dimension ${d}`);
    elements *= extent;
    checkLimit("tensorElements", `tensor ${name}: elements`, elements);
    extents.push(extent);
  }
  return extents;
}

function readTensors(cursor: Cursor, count: number): TensorEntry[] {
  const tensors = new Map<string, TensorEntry>();
  for (let i = 0; i < count; i++) {
    const name = readName(cursor, "tensorNameBytes", `tensor name ${i}`);
    if (tensors.has(name)) fail(`tensor ${name}: expected every name once, got it again`);
    const extents = readExtents(cursor, name);
    const typeNumber = readUint32(cursor);
    const dataOffset = cursor.view.getBigUint64(take(cursor, 8), true);
    tensors.set(name, { name, extents, typeNumber, dataOffset });
  }
  return [...tensors.values()];
}

function parse(bytes: Uint8Array): GgufHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const cursor: Cursor = { bytes, view, at: 0 };
  const magic = readUint32(cursor);
  if (magic !== 0x46554747)
    fail(`magic: expected "GGUF", 0x46554747, got 0x${magic.toString(16).padStart(8, "0")}`);
  const version = readUint32(cursor);
  if (version !== 2 && version !== 3) fail(`version: expected 2 or 3, little-endian, got ${version}`);
  const tensorCount = readCount(cursor);
  checkLimit("tensors", "tensor count", tensorCount);
  const metadataCount = readCount(cursor);
  checkLimit("metadataEntries", "metadata count", metadataCount);
  const metadata = readMetadata(cursor, metadataCount);
  const tensors = readTensors(cursor, tensorCount);
  return { metadata, tensors, bytes: cursor.at };
}

/** Holds the whole header of nearly every file. */
const FIRST_READ_BYTES = 8 * 2 ** 20;

/**
 * Reads the header of a GGUF file, version 2 or 3, little-endian. Counts and lengths are checked before anything is
 * made from them.
 * Layout: magic, version u32, tensor count u64, metadata count u64, metadata (key, type u32, value), tensors (name,
 * dimension count u32, extents u64, type u32, offset u64); a string is its length u64 and its bytes, an array its
 * element type u32, its length u64 and its elements.
 * @throws Error naming the limit or the field, the expectation and what came
 */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  const most = Math.min(source.size, ggufLimits.headerBytes);
  for (let length = Math.min(most, FIRST_READ_BYTES); ; length = Math.min(most, length * 2)) {
    const bytes = await source.read(0, length);
    try {
      return parse(bytes);
    } catch (error) {
      if (!(error instanceof OutOfBytes)) throw error;
      if (length === source.size) fail(`file: expected a whole header, got the end after ${length} bytes`);
      if (length === most) fail(`header: expected at most ${most} bytes (headerBytes), got more`);
    }
  }
}
