import type { ByteSource } from "./byte-source.ts";

/**
 * What a GGUF file may ask for before any of it is believed. Far above what published models have, low enough that
 * no header can take more than some hundred megabytes or a few seconds.
 */
export const ggufLimits = {
  /** Bytes before the tensor data; a 262,144-token vocabulary takes 6.5 MB. */
  headerBytes: 32 * 2 ** 20,
  metadataEntries: 4096,
  metadataKeyBytes: 256,
  arrayLength: 1_000_000,
  /** Below the 500,000 bytes the value parser keeps read ahead, so that it never cuts a string. */
  stringBytes: 256 * 2 ** 10,
  tensors: 65_536,
  tensorNameBytes: 256,
  tensorDimensions: 4,
  /** 8 GiB as float32. */
  tensorElements: 2 ** 31,
  alignment: 65_536,
} as const;

/** Thrown inside the scan only: the header goes on after the bytes at hand. */
class OutOfBytes extends Error {}

/** Bytes of a scalar metadata value by its type number; 8 is a string, 9 an array. */
const scalarBytes: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
const STRING = 8;
const ARRAY = 9;

/** What the scan learnt. */
export interface HeaderScan {
  /** Bytes from the magic to the last tensor entry, without the padding before the data. */
  readonly bytes: number;
  /** The last string of each array of strings, by metadata key. */
  readonly lastStrings: ReadonlyMap<string, string>;
}

interface Cursor {
  readonly view: DataView;
  at: number;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function fail(message: string): never {
  throw new Error(`gguf: ${message}`);
}

function checkLimit(name: keyof typeof ggufLimits, what: string, value: number): void {
  if (value > ggufLimits[name]) fail(`${what}: expected at most ${ggufLimits[name]} (${name}), got ${value}`);
}

function skip(cursor: Cursor, bytes: number): number {
  const start = cursor.at;
  if (start + bytes > cursor.view.byteLength) throw new OutOfBytes();
  cursor.at += bytes;
  return start;
}

const readUint32 = (cursor: Cursor): number => cursor.view.getUint32(skip(cursor, 4), true);

/** A 64-bit count as a number: exact up to 2⁵³, and above that still far over every limit. */
const readCount = (cursor: Cursor): number => Number(cursor.view.getBigUint64(skip(cursor, 8), true));

function skipString(
  cursor: Cursor,
  limit: "stringBytes" | "metadataKeyBytes" | "tensorNameBytes",
  what: string,
) {
  const length = readCount(cursor);
  checkLimit(limit, `${what}: string length`, length);
  return new Uint8Array(cursor.view.buffer, cursor.view.byteOffset + skip(cursor, length), length);
}

function readName(cursor: Cursor, limit: "metadataKeyBytes" | "tensorNameBytes", what: string): string {
  const bytes = skipString(cursor, limit, what);
  try {
    return utf8.decode(bytes);
  } catch {
    return fail(`${what}: expected a name in UTF-8, got other bytes`);
  }
}

/** Steps over one metadata value; the last string when it is an array of strings. */
function skipValue(cursor: Cursor, key: string): string | undefined {
  const type = readUint32(cursor);
  if (type === STRING) {
    skipString(cursor, "stringBytes", `metadata ${key}`);
    return undefined;
  }
  if (type !== ARRAY) {
    skip(
      cursor,
      scalarBytes[type] ?? fail(`metadata ${key}: expected a value type from 0 to 12, got ${type}`),
    );
    return undefined;
  }
  const elementType = readUint32(cursor);
  const length = readCount(cursor);
  checkLimit("arrayLength", `metadata ${key}: array length`, length);
  if (elementType !== STRING) {
    const bytes = scalarBytes[elementType];
    if (bytes === undefined)
      fail(`metadata ${key}: expected an array of scalars or strings, got type ${elementType}`);
    skip(cursor, length * bytes);
    return undefined;
  }
  let last: Uint8Array | undefined;
  for (let i = 0; i < length; i++) last = skipString(cursor, "stringBytes", `metadata ${key}[${i}]`);
  return last === undefined ? undefined : new TextDecoder().decode(last);
}

function skipMetadata(cursor: Cursor, entries: number): Map<string, string> {
  const keys = new Set<string>(["version", "tensor_count", "kv_count", "__proto__"]);
  const lastStrings = new Map<string, string>();
  for (let i = 0; i < entries; i++) {
    const key = readName(cursor, "metadataKeyBytes", `metadata key ${i}`);
    if (keys.has(key)) fail(`metadata ${key}: expected every key once and no reserved one, got it again`);
    keys.add(key);
    const last = skipValue(cursor, key);
    if (last !== undefined) lastStrings.set(key, last);
  }
  return lastStrings;
}

function skipTensors(cursor: Cursor, count: number): void {
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const name = readName(cursor, "tensorNameBytes", `tensor name ${i}`);
    if (names.has(name)) fail(`tensor ${name}: expected every name once, got it again`);
    names.add(name);
    const dimensions = readUint32(cursor);
    if (dimensions < 1) fail(`tensor ${name}: expected at least one dimension, got none`);
    checkLimit("tensorDimensions", `tensor ${name}: dimensions`, dimensions);
    let elements = 1;
    for (let d = 0; d < dimensions; d++) {
      const extent = readCount(cursor);
      if (extent < 1) fail(`tensor ${name}: expected extents of at least 1, got ${extent} in dimension ${d}`);
      elements *= extent;
      checkLimit("tensorElements", `tensor ${name}: elements`, elements);
    }
    skip(cursor, 4 + 8);
  }
}

function scan(bytes: Uint8Array): HeaderScan {
  const cursor: Cursor = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0 };
  const magic = readUint32(cursor);
  if (magic !== 0x46554747)
    fail(`magic: expected "GGUF", got bytes 0x${magic.toString(16).padStart(8, "0")}`);
  const version = readUint32(cursor);
  if (version !== 2 && version !== 3) fail(`version: expected 2 or 3, little-endian, got ${version}`);
  const tensors = readCount(cursor);
  checkLimit("tensors", "tensor count", tensors);
  const entries = readCount(cursor);
  checkLimit("metadataEntries", "metadata count", entries);
  const lastStrings = skipMetadata(cursor, entries);
  skipTensors(cursor, tensors);
  return { bytes: cursor.at, lastStrings };
}

/**
 * Walks over a GGUF header without keeping its values, and holds it to `ggufLimits`, so that what reads the values
 * afterwards can trust every count and every length.
 * Layout: magic, version u32, tensor count u64, metadata count u64, metadata (key, type, value), tensors (name,
 * dimension count u32, extents u64, type u32, offset u64); strings are a u64 length and bytes.
 * @throws Error naming the limit, the expectation and what came
 */
export async function scanHeader(source: ByteSource): Promise<HeaderScan> {
  const most = Math.min(source.size, ggufLimits.headerBytes);
  for (let length = Math.min(most, 2 ** 20); ; length = Math.min(most, length * 4)) {
    const bytes = await source.read(0, length);
    try {
      return scan(bytes);
    } catch (error) {
      if (!(error instanceof OutOfBytes)) throw error;
      if (length === source.size) fail(`file: expected a whole header, got an end after ${length} bytes`);
      if (length === most) fail(`header: expected at most ${most} bytes (headerBytes), got more`);
    }
  }
}
