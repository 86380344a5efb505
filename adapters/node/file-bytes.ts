import { open } from "node:fs/promises";
import { checkRange, type ByteSource } from "../../src/weights/byte-source.ts";

/** One read call takes at most 2³¹ − 1 bytes; stay well below. */
const MAX_READ_BYTES = 2 ** 30;

/**
 * A file as a byte source. The size is the one at opening time.
 * @throws Error when the path is no readable file, or when a later read ends early because the file shrank
 */
export async function openFileBytes(path: string): Promise<ByteSource & { close(): Promise<void> }> {
  const file = await open(path, "r");
  const { size } = await file.stat();
  return {
    size,
    async read(offset, length) {
      checkRange(offset, length, size);
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const wanted = Math.min(length - filled, MAX_READ_BYTES);
        const { bytesRead } = await file.read(bytes, filled, wanted, offset + filled);
        if (bytesRead === 0) {
          throw new Error(
            `${path}: ended at byte ${offset + filled}, though it had ${size} bytes when opened`,
          );
        }
        filled += bytesRead;
      }
      return bytes;
    },
    close: () => file.close(),
  };
}
