import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { applyExperimentsFile, readExperimentsFile } from "../../adapters/node/experiments-file.ts";
import { openTestExperiments } from "../experiments/harness.ts";

const experiment = {
  name: "fusion",
  arms: [
    { name: "ensemble", model: "concord" },
    { name: "member", model: "smollm2-135m-instruct" },
  ],
  start: true,
};

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-experiments-"));
  path = join(folder, "experiments.json");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function read(content: unknown) {
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return readExperimentsFile(path);
}

describe("an experiments file", () => {
  it("gives models by paths beside it, and experiments", async () => {
    const file = await read({
      models: [{ id: "concord-b", map: "maps/b.safetensors" }],
      experiments: [experiment],
    });
    expect(file.models).toEqual([
      { id: "concord-b", map: join(folder, "maps/b.safetensors"), calibration: undefined },
    ]);
    expect(file.experiments).toMatchObject([{ name: "fusion", mode: "split", start: true }]);
  });

  it.each([
    ["{", /experiments\.json: /],
    ["[]", /expected a JSON object/],
    [
      { experiments: [{ ...experiment, arms: [] }] },
      /experiments\[0\]\.arms: expected an array of 2 to 16 arms/,
    ],
    [{ experiments: [{ ...experiment, colour: 1 }] }, /experiments\[0\]\.colour/],
    [{ models: [{ id: "b" }] }, /models\[0\]\.map is missing/],
  ])("that is %j is refused with the fault", async (content, message) => {
    await expect(read(content)).rejects.toThrow(message);
  });

  it("starts what is new, and changes nothing the second time", async () => {
    const { experiments } = await openTestExperiments();
    const file = await read({ experiments: [experiment] });
    await applyExperimentsFile(experiments, file);
    const first = await experiments.find("fusion");
    expect(first.state).toBe("running");
    await applyExperimentsFile(experiments, file);
    expect(await experiments.find("fusion")).toEqual(first);
  });

  it("changes weights of what is there, leaves a pause, and refuses other arms", async () => {
    const { experiments } = await openTestExperiments();
    await applyExperimentsFile(experiments, await read({ experiments: [experiment] }));
    await experiments.pause("fusion");
    const [ensemble, member] = experiment.arms;
    const reweighted = { ...experiment, arms: [{ ...ensemble, weight: 3 }, member] };
    await applyExperimentsFile(experiments, await read({ experiments: [reweighted] }));
    expect(await experiments.find("fusion")).toMatchObject({
      state: "paused",
      arms: [{ weight: 3 }, { weight: 1 }],
      allocations: [{}, { weights: { ensemble: 3, member: 1 } }],
    });
    const other = { ...experiment, arms: [ensemble, { name: "member", model: "concord" }] };
    await expect(applyExperimentsFile(experiments, await read({ experiments: [other] }))).rejects.toThrow(
      /fusion: arms cannot be changed/,
    );
  });

  it("names the experiment whose arm is no model", async () => {
    const { experiments } = await openTestExperiments();
    const unknown = { ...experiment, arms: [experiment.arms[0], { name: "b", model: "gpt-4" }] };
    await expect(applyExperimentsFile(experiments, await read({ experiments: [unknown] }))).rejects.toThrow(
      /fusion: arms\[1\]\.model: expected one of concord/,
    );
  });
});
