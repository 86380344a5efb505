import { mkdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findModel, modelManifest } from "../../../adapters/node/models/manifest.ts";
import { checkModel } from "../../../adapters/node/models/verify.ts";
import { contents, emptyFolder, plantedModel, sha256 } from "./planted-model.ts";

const model = plantedModel();

async function plant(bytes: Uint8Array): Promise<{ folder: string; path: string }> {
  const folder = await emptyFolder();
  const path = join(folder, "planted", "weights.gguf");
  await mkdir(join(folder, "planted"));
  await writeFile(path, bytes);
  return { folder, path };
}

/** Counts how often a file is read through. */
function countingProgress() {
  const stages: string[] = [];
  return { stages, stage: (label: string) => void stages.push(label), update() {}, finish() {} };
}

test("a model that is not there is missing, and asking creates nothing", async () => {
  const folder = await emptyFolder();
  const check = await checkModel(model, folder);
  expect(check.installed).toBe(false);
  expect(check.files.map((file) => file.state)).toEqual(["missing"]);
  await expect(stat(join(folder, "planted"))).rejects.toThrow("ENOENT");
});

test("a file put there by hand is hashed once and then remembered", async () => {
  const { folder } = await plant(contents);
  const progress = countingProgress();
  for (let i = 0; i < 3; i++) expect((await checkModel(model, folder, { progress })).installed).toBe(true);
  expect(progress.stages).toEqual(["weights.gguf: checking"]);
});

test("a rehash reads the file even when its hash is remembered", async () => {
  const { folder } = await plant(contents);
  const progress = countingProgress();
  for (let i = 0; i < 2; i++) await checkModel(model, folder, { progress, rehash: true });
  expect(progress.stages).toHaveLength(2);
});

test("a changed file is hashed again and found corrupt", async () => {
  const { folder, path } = await plant(contents);
  expect((await checkModel(model, folder)).installed).toBe(true);
  const changed = Buffer.from(contents);
  changed[1000] = (changed[1000] ?? 0) ^ 1;
  await writeFile(path, changed);
  await utimes(path, 1, 1);
  const check = await checkModel(model, folder);
  expect(check.files[0]?.state).toBe("corrupt");
  expect(check.files[0]?.reason).toMatch(new RegExp(`has sha256 [0-9a-f]{64}, ${sha256} expected`));
});

test("a rehash finds damage that left size and time alone", async () => {
  const { folder, path } = await plant(contents);
  await utimes(path, 1, 1);
  expect((await checkModel(model, folder)).installed).toBe(true);
  const changed = Buffer.from(contents);
  changed[1000] = (changed[1000] ?? 0) ^ 1;
  await writeFile(path, changed);
  await utimes(path, 1, 1);
  expect((await checkModel(model, folder, { rehash: true })).installed).toBe(false);
  expect((await checkModel(model, folder)).installed).toBe(false);
});

test("a file of another size is corrupt without being read", async () => {
  const { folder } = await plant(contents.subarray(1));
  const progress = countingProgress();
  const check = await checkModel(model, folder, { progress });
  expect(check.files[0]?.reason).toMatch(/has 299999 bytes, 300000 expected$/);
  expect(progress.stages).toEqual([]);
});

test("a remembered hash that is not readable is ignored", async () => {
  const { folder, path } = await plant(contents);
  await writeFile(`${path}.verified.json`, "{");
  expect((await checkModel(model, folder)).installed).toBe(true);
  expect(JSON.parse(await readFile(`${path}.verified.json`, "utf8"))).toMatchObject({
    sha256,
    bytes: 300_000,
  });
});

test("an unknown model is refused with the names there are", () => {
  expect(() => findModel("gpt-9")).toThrow(
    'model "gpt-9" is not in the manifest; it has: smollm2-135m-instruct, gemma-3-270m, all-minilm-l6-v2, bge-small-en-v1.5, e5-small-v2',
  );
});

test("every manifest entry has a licence address, sources, and full hashes", () => {
  for (const { licence, files, encoder } of modelManifest) {
    expect(new URL(licence.url).protocol).toBe("https:");
    for (const file of files) {
      expect(file.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(file.name).toMatch(/^[\w.-]+$/);
      expect(file.sources.map((source) => source.kind)).toEqual(["hub", encoder ? "maven" : "pip"]);
    }
  }
});
