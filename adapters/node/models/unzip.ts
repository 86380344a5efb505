import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { openPromise, type Entry, type ZipFile } from "yauzl";

/**
 * Appends one member of a zip archive to an open file, streaming. The member's name is only compared, never used
 * as a path on disk.
 * @param limitBytes the member may not unpack to more than this
 * @param onBytes told the bytes written so far
 * @returns bytes written
 * @throws Error when the archive is broken, has no such member, or the member is larger than the limit
 */
export async function unzipMember(
  archive: string,
  member: string,
  out: FileHandle,
  limitBytes: number,
  onBytes: (written: number) => void,
  signal?: AbortSignal,
): Promise<number> {
  const name = basename(archive);
  const zip = await openPromise(archive, { autoClose: false, lazyEntries: true }).catch((cause: unknown) => {
    throw new Error(`${name} is not a readable zip archive (${(cause as Error).message})`, { cause });
  });
  try {
    const entry = await findEntry(zip, member, name);
    if (entry.uncompressedSize > limitBytes) {
      throw new Error(
        `${member} in ${name} unpacks to ${entry.uncompressedSize} bytes, at most ${limitBytes} expected`,
      );
    }
    const stream = await zip.openReadStreamPromise(entry);
    let written = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      signal?.throwIfAborted();
      await out.writeFile(chunk);
      written += chunk.byteLength;
      onBytes(written);
    }
    return written;
  } finally {
    zip.close();
  }
}

async function findEntry(zip: ZipFile, member: string, archiveName: string): Promise<Entry> {
  for await (const entry of zip.eachEntry()) {
    if (entry.fileName === member) return entry;
  }
  throw new Error(`${archiveName} has no member ${member}`);
}
