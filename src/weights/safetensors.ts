import { z } from "zod";

/** A tensor of the three types that fitted maps need; halves are kept as their bits. */
export type SafeTensor =
  | { readonly dtype: "F32"; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: "F16"; readonly shape: readonly number[]; readonly data: Uint16Array }
  | { readonly dtype: "I32"; readonly shape: readonly number[]; readonly data: Int32Array }
  | { readonly dtype: "I8"; readonly shape: readonly number[]; readonly data: Int8Array };

export interface SafeTensors {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, SafeTensor>;
}

/** What a file may ask for; held when writing too, so that what is written can be read. */
export const safetensorsLimits = {
  headerBytes: 4 * 2 ** 20,
  metadataEntries: 1024,
  tensors: 4096,
  nameLength: 256,
  dimensions: 8,
  /** Elements of one tensor. */
  elements: 2 ** 31,
} as const;

const METADATA = "__metadata__";
const LENGTH_BYTES = 8;
const elementBytes = { F32: 4, I32: 4, F16: 2, I8: 1 } as const;
/** Four-byte types first, so that every tensor lies aligned: the order of the reference writer. */
const dtypeOrder: readonly SafeTensor["dtype"][] = ["F32", "I32", "F16", "I8"];

const count = z.int().nonnegative();
const entrySchema = z.strictObject({
  dtype: z.enum(dtypeOrder),
  shape: z.array(count).max(safetensorsLimits.dimensions),
  data_offsets: z.tuple([count, count]),
});
type Entry = z.infer<typeof entrySchema>;

function fail(message: string): never {
  throw new Error(`safetensors: ${message}`);
}

function checkLimit(name: keyof typeof safetensorsLimits, what: string, value: number): void {
  const limit = safetensorsLimits[name];
  if (value > limit) fail(`${what}: expected at most ${limit} (${name}), got ${value}`);
}

function elementsOf(name: string, shape: readonly number[]): number {
  checkLimit("nameLength", "tensor name length", name.length);
  checkLimit("dimensions", `tensor ${name}: dimensions`, shape.length);
  const elements = shape.reduce((product, extent) => product * extent, 1);
  checkLimit("elements", `tensor ${name}: elements`, elements);
  return elements;
}

/**
 * Writes the safetensors format: header length as u64, a JSON header padded with spaces to 8 bytes, then the data,
 * all little-endian. Byte for byte what the reference package writes for the same tensors and one metadata entry.
 * @throws Error when a shape and its data differ, or beyond `safetensorsLimits`
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  const placed = [...tensors].sort(compareTensors);
  const json = encodeHeader(placed, metadata);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  checkLimit("headerBytes", "header length", headerBytes);
  const dataBytes = placed.reduce((sum, [, { data }]) => sum + data.byteLength, 0);
  const out = new Uint8Array(LENGTH_BYTES + headerBytes + dataBytes);
  new DataView(out.buffer).setBigUint64(0, BigInt(headerBytes), true);
  out.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes);
  out.set(json, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerBytes;
  for (const [, { data }] of placed) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return out;
}

/** The JSON of tensors whose data follow each other in this order. */
function encodeHeader(
  placed: readonly [string, SafeTensor][],
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  checkLimit("tensors", "tensor count", placed.length);
  checkLimit("metadataEntries", "metadata count", metadata.size);
  const entries: [string, Entry | Record<string, string>][] = [];
  if (metadata.size > 0) entries.push([METADATA, Object.fromEntries(metadata)]);
  let begin = 0;
  for (const [name, { dtype, shape, data }] of placed) {
    if (name === METADATA) fail(`tensor ${name}: expected another name, this one is the format's own`);
    const elements = elementsOf(name, shape);
    if (elements !== data.length) fail(`tensor ${name}: expected ${elements} elements, got ${data.length}`);
    const end = begin + data.byteLength;
    entries.push([name, { dtype, shape: [...shape], data_offsets: [begin, end] }]);
    begin = end;
  }
  // Written entry by entry: an object would put names that look like integers first.
  const fields = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return new TextEncoder().encode(`{${fields.join(",")}}`);
}

function compareTensors([a, left]: [string, SafeTensor], [b, right]: [string, SafeTensor]): number {
  return dtypeOrder.indexOf(left.dtype) - dtypeOrder.indexOf(right.dtype) || (a < b ? -1 : 1);
}

/**
 * Reads the safetensors format. The tensors must cover the data without gap or overlap.
 * @throws Error naming the field, the expectation and what came
 */
export function decodeSafetensors(bytes: Uint8Array): SafeTensors {
  const headerBytes = readHeaderLength(bytes);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes));
  const data = bytes.subarray(LENGTH_BYTES + headerBytes);
  const metadata = new Map<string, string>();
  const entries: [string, Entry][] = [];
  for (const [name, value] of fieldsOf("header", header)) {
    if (name === METADATA) {
      for (const [key, text] of fieldsOf(METADATA, value)) {
        metadata.set(key, check(`metadata ${key}`, z.string(), text));
      }
    } else {
      entries.push([name, check(`tensor ${name}`, entrySchema, value)]);
    }
  }
  checkLimit("metadataEntries", "metadata count", metadata.size);
  checkLimit("tensors", "tensor count", entries.length);
  checkPlaces(entries, data.length);
  const tensors = new Map(entries.map(([name, entry]) => [name, readTensor(entry, data)]));
  return { metadata, tensors };
}

function readHeaderLength(bytes: Uint8Array): number {
  if (bytes.length < LENGTH_BYTES) fail(`file: expected at least ${LENGTH_BYTES} bytes, got ${bytes.length}`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  checkLimit("headerBytes", "header length", length);
  const present = bytes.length - LENGTH_BYTES;
  if (length > present) fail(`header: expected ${length} bytes, got ${present}`);
  return length;
}

function parseHeader(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw new Error("safetensors: header: expected JSON in UTF-8, got other bytes", { cause: error });
  }
}

/** By hand, since a record schema would drop a field called `__proto__`. */
function fieldsOf(what: string, value: unknown): [string, unknown][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return Object.entries(value);
  return fail(`${what}: expected a JSON object, got ${JSON.stringify(value).slice(0, 40)}`);
}

function check<T>(what: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  return fail(`${what}: ${z.prettifyError(result.error)}`);
}

/** Each tensor's range has the size of its shape, and the ranges in order fill the data from end to end. */
function checkPlaces(entries: readonly [string, Entry][], dataBytes: number): void {
  let expected = 0;
  const inOrder = entries.toSorted(
    ([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1],
  );
  for (const [name, { dtype, shape, data_offsets }] of inOrder) {
    const [begin, end] = data_offsets;
    const size = elementsOf(name, shape) * elementBytes[dtype];
    if (begin !== expected || end !== begin + size) {
      fail(`tensor ${name}: expected data_offsets [${expected}, ${expected + size}], got [${begin}, ${end}]`);
    }
    expected = end;
  }
  if (expected !== dataBytes) fail(`data: expected ${expected} bytes, got ${dataBytes}`);
}

/** A copy of its own, so that it is aligned and does not keep the file's bytes alive. */
function readTensor({ dtype, shape, data_offsets }: Entry, data: Uint8Array): SafeTensor {
  const own = new Uint8Array(data_offsets[1] - data_offsets[0]);
  own.set(data.subarray(...data_offsets));
  if (dtype === "F32") return { dtype, shape, data: new Float32Array(own.buffer) };
  if (dtype === "F16") return { dtype, shape, data: new Uint16Array(own.buffer) };
  if (dtype === "I8") return { dtype, shape, data: new Int8Array(own.buffer) };
  return { dtype, shape, data: new Int32Array(own.buffer) };
}
