import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFileBytes } from "../../adapters/node/file-bytes.ts";
import { bytesOf, type ByteSource } from "../../src/weights/byte-source.ts";

const content = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) & 255);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-bytes-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function openFile(): Promise<ByteSource & { close(): Promise<void> }> {
  const path = join(folder, "file");
  await writeFile(path, content);
  return openFileBytes(path);
}

const sources: readonly [string, () => Promise<ByteSource & { close(): Promise<void> }>][] = [
  ["memory", async () => ({ ...bytesOf(content), close: async () => {} })],
  ["a file", openFile],
];

describe.each(sources)("bytes of %s", (_, open) => {
  test("are read by range", async () => {
    const source = await open();
    expect(source.size).toBe(1000);
    expect(await source.read(0, 1000)).toEqual(content);
    expect(await source.read(3, 5)).toEqual(content.slice(3, 8));
    expect(await source.read(1000, 0)).toEqual(new Uint8Array(0));
    await source.close();
  });

  test("are refused outside the source", async () => {
    const source = await open();
    for (const [offset, length] of [
      [999, 2],
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, NaN],
      [2 ** 53, 1],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toThrow(RangeError);
    }
    await source.close();
  });
});

test("a file that shrank after opening is an error, not zeros", async () => {
  const source = await openFile();
  await truncate(join(folder, "file"), 500);
  await expect(source.read(400, 200)).rejects.toThrow("ended at byte 500, though it had 1000 bytes");
  await source.close();
});

test("a file that is not there is an error", async () => {
  await expect(openFileBytes(join(folder, "absent"))).rejects.toThrow("ENOENT");
});
