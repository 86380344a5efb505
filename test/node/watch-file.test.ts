import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readWatch, writeWatch } from "../../adapters/node/watch-file.ts";
import { tappedLayers } from "../../src/ensemble/passage-states.ts";
import { createRandom } from "../../src/linalg/random.ts";
import type { WatchState } from "../../src/watch/watch.ts";
import { createScriptedMember } from "../scripted-member.ts";

const infos = [1, 2].map((seed) => createScriptedMember({ seed, width: 8 * seed, layers: 4 }).info);
const random = createRandom(6);
const numbers = (count: number): number[] => Array.from({ length: count }, () => random.normal());
const halves = (count: number) => Float64Array.from(numbers(count), (x) => Math.round(4 * x) / 4);

const state: WatchState = {
  drift: {
    js_divergence: { phase: "raised", reference: numbers(100), recent: numbers(7) },
    "weight_share:gemma": { phase: "learning", reference: [], recent: numbers(3) },
  },
  scales: infos.map((info) =>
    tappedLayers(info).map(() => ({ mean: halves(info.width), deviation: halves(info.width) })),
  ),
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-watch-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("what a watch has learned", () => {
  test("is nothing where there is no file", async () => {
    expect(await readWatch(join(folder, "none.json"), infos)).toBeNull();
  });

  test("comes back as it was written, every number of a signal to the last bit", async () => {
    const path = join(folder, "watch.json");
    await writeWatch(path, infos, state);
    expect(await readWatch(path, infos)).toEqual(state);
  });

  test("is without the layers' scales when a member has other weights, and its signals stay", async () => {
    const path = join(folder, "other.json");
    await writeWatch(path, infos, state);
    const others = infos.map((info, m) => (m === 1 ? { ...info, weightsHash: "f".repeat(64) } : info));
    expect(await readWatch(path, others)).toEqual({ ...state, scales: null });
  });

  test.each([
    ["what is no JSON", "{"],
    ["another version", '{"version":2,"weights":[],"drift":{},"scales":null}'],
    [
      "a reference that is too short",
      '{"version":1,"weights":[],"drift":{"x":{"phase":"watching","reference":[1],"recent":[]}},"scales":null}',
    ],
    [
      "scales that are no numbers",
      '{"version":1,"weights":[],"drift":{},"scales":[[{"mean":"A","deviation":"A"}]]}',
    ],
  ])("is refused where the file has %s", async (_, text) => {
    const path = join(folder, "broken.json");
    await writeFile(path, text);
    await expect(readWatch(path, infos)).rejects.toThrow(`${path}: expected what Concord has learned`);
    expect(await readFile(path, "utf8")).toBe(text);
  });
});
