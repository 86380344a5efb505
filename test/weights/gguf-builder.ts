/** Writes GGUF files for tests: well-formed ones, and ones that lie. */

/** Metadata value types by their number in the format. */
export const valueTypes = {
  uint8: 0,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
} as const;

/** Tensor types by their number in the format. */
export const tensorTypeNumbers = { F32: 0, F16: 1, Q4_1: 3, Q8_0: 8, IQ4_NL: 20 } as const;

export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

export function uint64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

export function float32(value: number): Uint8Array {
  return new Uint8Array(Float32Array.of(value).buffer);
}

export function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return join([uint64(bytes.length), bytes]);
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** One metadata entry: its key, the number of its type, its encoded value. */
export function entry(key: string, type: number, value: Uint8Array): Uint8Array {
  return join([text(key), uint32(type), value]);
}

/** An array's encoded value. */
export function array(
  elementType: number,
  elements: readonly Uint8Array[],
  length = elements.length,
): Uint8Array {
  return join([uint32(elementType), uint64(length), ...elements]);
}

export interface TensorEntry {
  readonly name: string;
  /** In the file's order: columns first. */
  readonly extents: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

export function tensorEntry({ name, extents, type, offset }: TensorEntry): Uint8Array {
  return join([text(name), uint32(extents.length), ...extents.map(uint64), uint32(type), uint64(offset)]);
}

export interface GgufParts {
  readonly magic?: string;
  readonly version?: number;
  readonly metadata?: readonly Uint8Array[];
  readonly metadataCount?: number | bigint;
  readonly tensors?: readonly TensorEntry[];
  readonly tensorCount?: number | bigint;
  readonly alignment?: number;
  readonly data?: Uint8Array;
}

/** A whole file: header, padding to the alignment, data. */
export function buildGguf(parts: GgufParts): Uint8Array {
  const { metadata = [], tensors = [], alignment = 32 } = parts;
  const header = join([
    new TextEncoder().encode(parts.magic ?? "GGUF"),
    uint32(parts.version ?? 3),
    uint64(parts.tensorCount ?? tensors.length),
    uint64(parts.metadataCount ?? metadata.length),
    ...metadata,
    ...tensors.map(tensorEntry),
  ]);
  const padding = new Uint8Array(Math.ceil(header.length / alignment) * alignment - header.length);
  return join([header, padding, parts.data ?? new Uint8Array(0)]);
}
