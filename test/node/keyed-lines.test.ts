import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { openKeyedLines } from "../../adapters/node/keyed-lines.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-lines-"));
  path = join(folder, "scores", "text.jsonl");
});

afterEach(() => rm(folder, { recursive: true }));

const open = () => openKeyedLines(path, z.object({ nats: z.number() }));

async function write(key: string, nats: number): Promise<void> {
  const lines = await open();
  await lines.add(key, { nats });
  await lines.close();
}

it("what one run has added the next one finds", async () => {
  await write("a", 1);
  await write("b", 2);
  const lines = await open();
  expect([lines.get("a"), lines.get("b"), lines.get("c")]).toEqual([{ nats: 1 }, { nats: 2 }, undefined]);
  await lines.close();
});

it("a line that a killed run left unfinished is dropped, and the next one is whole", async () => {
  await write("a", 1);
  await appendFile(path, '{"key":"b","val');
  await write("c", 3);
  expect((await readFile(path, "utf8")).split("\n")).toEqual([
    '{"key":"a","value":{"nats":1}}',
    '{"key":"c","value":{"nats":3}}',
    "",
  ]);
});

it("a line that holds something else is refused by its number", async () => {
  await write("a", 1);
  await appendFile(path, '{"key":"b","value":{"nats":"many"}}\n');
  await expect(open()).rejects.toThrow(`${path}:2 `);
});
