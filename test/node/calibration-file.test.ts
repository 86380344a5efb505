import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  applicable,
  readCalibration,
  writeCalibration,
  type CalibrationFile,
} from "../../adapters/node/calibration-file.ts";
import { SHIPPED_CALIBRATION } from "../../adapters/node/open-confidence.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";

let folder: string;
let shipped: CalibrationFile;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-calibration-"));
  shipped = await readCalibration(SHIPPED_CALIBRATION);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const infosOf = ({ record }: CalibrationFile): ModelInfo[] =>
  record.members.map((member) => ({ ...member, family: "", layers: 1, contextLength: 1 }));

describe("a calibration in a file", () => {
  it("is read as it was written", async () => {
    const path = join(folder, "copy.safetensors");
    const { seed, sources } = shipped.record;
    await writeCalibration(path, shipped.book, { seed, sources, members: infosOf(shipped) });
    expect(await readCalibration(path)).toEqual(shipped);
    expect(await readFile(path)).toEqual(await readFile(SHIPPED_CALIBRATION));
  });

  it("that comes with Concord decides for all members and for each alone, whatever is asked", () => {
    const ids = shipped.record.members.map(({ id }) => id);
    for (const { deciders, counts } of shipped.book.choices) {
      expect(deciders.map(({ head }) => head.memberIds.join())).toEqual([ids.join(), ...ids]);
      expect(counts.length).toBeGreaterThan(0);
    }
    for (const { judges } of shipped.book.answers) {
      expect(judges.map(({ memberIds }) => memberIds.join())).toEqual([ids.join(), ...ids]);
      // A member alone has nobody to disagree with.
      expect(judges.map(({ weights }) => weights.length)).toEqual([8, 5, 5]);
    }
  });

  it("holds for exactly the weights and the map that it was made with", () => {
    const infos = infosOf(shipped);
    const space = shipped.record.answers[0]?.space ?? "";
    expect(applicable(shipped, infos, space)).toEqual(shipped.book);
    const other = applicable(shipped, infos, "another map");
    expect(other.answers[0]?.judges.map(({ memberIds }) => memberIds.length)).toEqual([1, 1]);
    expect(other.choices).toEqual(shipped.book.choices);
    const [first, ...rest] = infos;
    const changed = applicable(shipped, [{ ...first!, weightsHash: "other" }, ...rest], space);
    for (const { deciders } of changed.choices) {
      expect(deciders.map(({ head }) => head.memberIds)).toEqual([[rest[0]?.id]]);
    }
  });

  it("that is broken or of another kind is refused with what to do", async () => {
    const path = join(folder, "broken.safetensors");
    await writeFile(path, (await readFile(SHIPPED_CALIBRATION)).subarray(0, 1000));
    await expect(readCalibration(path)).rejects.toThrow("Make a new one: concord calibrate");
    const map = new URL("../../data/maps/default.safetensors", import.meta.url).pathname;
    await expect(readCalibration(map)).rejects.toThrow("is no usable calibration");
  });
});
