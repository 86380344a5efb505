import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { bytesOf } from "../src/weights/byte-source.ts";
import { readGgufHeader } from "../src/weights/gguf-header.ts";
import { buildGguf, tensorEntry, text, uint32, valueTypes, join } from "./weights/gguf-builder.ts";

/** Magic, version, and the two counts. */
const FIXED_HEADER_BYTES = 24;
const ALIGNMENT = 32;

/**
 * Writes the first blocks of a model, between its embedding and its last norm, as a weight file of their own: another
 * member, of the same width and vocabulary, that foresees text badly. Returns the sha256 of what was written.
 */
export async function writeTruncated(source: string, target: string, layers: number): Promise<string> {
  const bytes = new Uint8Array(await readFile(source));
  const header = await readGgufHeader(bytesOf(bytes));
  const entries = header.tensors.map(({ name, extents, typeNumber, dataOffset }) => ({
    name,
    extents,
    type: typeNumber,
    offset: dataOffset,
  }));
  const metadataEnd = header.bytes - entries.reduce((sum, entry) => sum + tensorEntry(entry).length, 0);
  const metadata = bytes.slice(FIXED_HEADER_BYTES, metadataEnd);
  const key = `${String(header.metadata.get("general.architecture"))}.block_count`;
  const before = join([text(key), uint32(valueTypes.uint32)]);
  metadata.set(uint32(layers), indexOf(metadata, before) + before.length);
  const file = buildGguf({
    metadata: [metadata],
    metadataCount: header.metadata.size,
    tensors: entries.filter(({ name }) => blockOf(name) < layers),
    data: bytes.subarray(Math.ceil(header.bytes / ALIGNMENT) * ALIGNMENT),
    alignment: ALIGNMENT,
  });
  await writeFile(target, file);
  return createHash("sha256").update(file).digest("hex");
}

/** The block that a tensor belongs to; -1 for none. */
function blockOf(name: string): number {
  return Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
}

function indexOf(bytes: Uint8Array, part: Uint8Array): number {
  const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(part);
  if (found < 0) throw new Error("the weight file has no block count");
  return found;
}
