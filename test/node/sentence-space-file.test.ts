import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ENCODER_IDS, findModel } from "../../adapters/node/models/manifest.ts";
import { MEMBER_IDS } from "../../adapters/node/open-members.ts";
import { SHIPPED_SENTENCE_SPACE } from "../../adapters/node/open-sentence-encoders.ts";
import { readSentenceSpaces, writeSentenceSpaces } from "../../adapters/node/sentence-space-file.ts";
import { projectSentences } from "../../src/alignment/sentence-space.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-sentences-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe("the shipped sentence map", () => {
  test("belongs to the weights that the manifest names, every member at every depth", async () => {
    const { record, spaces } = await readSentenceSpaces(SHIPPED_SENTENCE_SPACE);
    const ids = [...MEMBER_IDS, ...ENCODER_IDS];
    expect(record.members.map(({ id }) => id)).toEqual(ids);
    for (const { id, weightsHash } of record.members) {
      expect(weightsHash).toBe(findModel(id).files[0]?.sha256);
    }
    expect([...spaces.keys()]).toEqual(["middle", "deep"]);
    for (const { maps, dimension } of spaces.values()) {
      expect(dimension).toBe(record.dimension);
      expect(maps.map(({ id }) => id)).toEqual(ids);
    }
  });

  test("finds a held-out sentence through another member nine times of ten, and is small", async () => {
    const { record } = await readSentenceSpaces(SHIPPED_SENTENCE_SPACE);
    for (const { heldOut } of record.depths) expect(heldOut?.least).toBeGreaterThan(0.9);
    expect((await stat(SHIPPED_SENTENCE_SPACE)).size).toBeLessThan(1.5e6);
  });
});

describe("a sentence map's file", () => {
  test("gives back what was written, the maps to half precision", async () => {
    const { record, spaces } = await readSentenceSpaces(SHIPPED_SENTENCE_SPACE);
    const path = join(folder, "deep", "map.safetensors");
    await writeSentenceSpaces(path, spaces, record);
    const again = await readSentenceSpaces(path);
    expect(again.record).toEqual(record);
    const states = Float32Array.from({ length: 384 }, (_, j) => Math.sin(j));
    for (const [depth, { maps }] of spaces) {
      const map = maps.find(({ id }) => id === "e5-small-v2");
      const same = again.spaces.get(depth)?.maps.find(({ id }) => id === "e5-small-v2");
      if (!map || !same) throw new Error("the map lacks a member");
      expect(projectSentences(same, states)).toEqual(projectSentences(map, states));
    }
  });

  test("is refused when it is broken, of another version or of another kind", async () => {
    const path = join(folder, "map.safetensors");
    const bytes = await readFile(SHIPPED_SENTENCE_SPACE);
    await writeFile(path, bytes.subarray(0, -4));
    await expect(readSentenceSpaces(path)).rejects.toThrow(
      /is no usable sentence map: .*concord fit sentences$/s,
    );
    await writeFile(
      path,
      Buffer.from(bytes.toString("latin1").replace('version\\":1', 'version\\":9'), "latin1"),
    );
    await expect(readSentenceSpaces(path)).rejects.toThrow(/version/);
    const space = new URL("../../data/maps/default.safetensors", import.meta.url).pathname;
    await expect(readSentenceSpaces(space)).rejects.toThrow("is no usable sentence map");
  });
});
