import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SHIPPED_SPACE } from "../../adapters/node/open-ensemble.ts";
import { modelManifest } from "../../adapters/node/models/manifest.ts";
import { MEMBER_IDS } from "../../adapters/node/open-members.ts";
import { asStored, checkMembers, readSpace, writeSpace } from "../../adapters/node/space-file.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/weights/safetensors.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-space-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const infos = MEMBER_IDS.map((id): ModelInfo => {
  const weightsHash = modelManifest.find((model) => model.id === id)?.files[0]?.sha256 ?? "";
  return { id, family: "any", width: 1, layers: 1, contextLength: 1, weightsHash };
});

describe("the shipped map", () => {
  it("belongs to the weights that the manifest names, and says how it came about", async () => {
    const { record, space } = await readSpace(SHIPPED_SPACE);
    expect(() => checkMembers(SHIPPED_SPACE, record, infos)).not.toThrow();
    expect(record.corpus.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(space.members.map((member) => member.id)).toEqual([...MEMBER_IDS]);
    const score = (name: string): number =>
      record.heldOut.find((row) => row.name === name)?.bitsPerByte ?? NaN;
    expect(score("concord")).toBeLessThan(score("smollm2-135m-instruct"));
  });

  it("is refused for other weights, naming both", async () => {
    const { record } = await readSpace(SHIPPED_SPACE);
    const others = infos.map((info, m) =>
      m === 1 ? Object.assign({}, info, { weightsHash: "f".repeat(64) }) : info,
    );
    expect(() => checkMembers("map", record, others)).toThrow(
      /map was fitted for .*gemma-3-270m \(sha256 a5fd3b62230a…\), but the members here are .*ffffffffffff….*concord fit/,
    );
  });
});

describe("a map's file", () => {
  it("gives back what was written, at the precision it is stored in", async () => {
    const { space, record } = await readSpace(SHIPPED_SPACE);
    const path = join(folder, "deep", "map.safetensors");
    await writeSpace(path, space, record);
    const again = await readSpace(path);
    expect(again.record).toEqual(record);
    expect(again.space.members[1]?.factor).toEqual(space.members[1]?.factor);
    expect(asStored(space, record).members[0]?.projection).toEqual(space.members[0]?.projection);
  });

  it("keeps its routes, has none where it is older, and is refused with one to the anchor", async () => {
    const { space, record } = await readSpace(SHIPPED_SPACE);
    const path = join(folder, "map.safetensors");
    const routes = [{ member: MEMBER_IDS[1], ratio: 1.25, share: 0.2 }];
    await writeSpace(path, space, { ...record, routes });
    expect((await readSpace(path)).record.routes).toEqual(routes);

    const { tensors, metadata } = decodeSafetensors(await readFile(path));
    const { routes: _, ...older } = JSON.parse(metadata.get("concord") ?? "");
    await writeFile(path, encodeSafetensors(tensors, new Map([["concord", JSON.stringify(older)]])));
    expect((await readSpace(path)).record.routes).toEqual([]);

    await writeSpace(path, space, {
      ...record,
      routes: [{ member: MEMBER_IDS[0], ratio: 1.25, share: 0.2 }],
    });
    await expect(readSpace(path)).rejects.toThrow(/expected routes to followers alone/);
  });

  it("is refused when it is cut, of another version, or something else", async () => {
    const path = join(folder, "map.safetensors");
    const bytes = await readFile(SHIPPED_SPACE);
    await writeFile(path, bytes.subarray(0, bytes.length - 4));
    await expect(readSpace(path)).rejects.toThrow(
      /is no usable map: safetensors: .*Fit a new one: concord fit/,
    );

    const { space, record } = await readSpace(SHIPPED_SPACE);
    await writeSpace(path, space, { ...record, version: 99 });
    await expect(readSpace(path)).rejects.toThrow(/expected version \d+, got 99/);

    await writeFile(path, "not a map");
    await expect(readSpace(path)).rejects.toThrow(/is no usable map/);
  });

  it("is refused when a number in it is not finite", async () => {
    const { space, record } = await readSpace(SHIPPED_SPACE);
    const path = join(folder, "map.safetensors");
    const spoilt = space.members.map((member) =>
      Object.assign({}, member, { offset: member.offset.map(() => NaN) }),
    );
    await writeSpace(path, { ...space, members: spoilt }, record);
    await expect(readSpace(path)).rejects.toThrow(/offset holds numbers that are not finite/);
  });
});
