import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { Command } from "commander";
import { expect, onTestFinished, test } from "vitest";
import { registerModelsCommands } from "../../adapters/node/commands/models.ts";
import { deadHub, serveBytes, startFakeHub } from "./models/fake-hub.ts";
import { contents, emptyFolder, hubSource, plantedModel } from "./models/planted-model.ts";

const planted = plantedModel(hubSource);
const other = {
  ...planted,
  id: "other",
  licence: { name: "Other Terms", url: "https://example.org/terms", noticeRequired: true },
};

/** Runs `concord models ...` on a commander program of its own. */
async function run(args: readonly string[], env: NodeJS.ProcessEnv, signal = new AbortController().signal) {
  const stdout = new PassThrough().setEncoding("utf8");
  const stderr = new PassThrough().setEncoding("utf8");
  const program = new Command("concord")
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} });
  registerModelsCommands(program, {
    models: [planted, other],
    env,
    stdout,
    stderr,
    openSignal: () => signal,
  });
  const error: unknown = await program.parseAsync(["models", ...args], { from: "user" }).then(
    () => null,
    (reason: unknown) => reason,
  );
  return { stdout: text(stdout), stderr: text(stderr), error };
}

const text = (stream: PassThrough): string => (stream.read() as string | null) ?? "";

async function servedHome(): Promise<NodeJS.ProcessEnv> {
  const hub = await startFakeHub((response, request) => serveBytes(contents, response, request));
  onTestFinished(() => hub.close());
  return { CONCORD_HOME: await emptyFolder(), HF_ENDPOINT: hub.url };
}

test("pull without names brings all models and names each licence once", async () => {
  const env = await servedHome();
  const { error, stderr, stdout } = await run(["pull"], env);
  expect(error).toBeNull();
  expect(stdout).toBe("");
  const lines = stderr.split("\n");
  expect(lines).toContain("planted: CC0-1.0, https://creativecommons.org/publicdomain/zero/1.0/");
  expect(lines).toContain(
    "other: Other Terms, https://example.org/terms; using the model means agreeing to these terms",
  );
  expect(lines.filter((line) => line.endsWith(": installed"))).toEqual([
    "planted: installed",
    "other: installed",
  ]);
  expect((await run(["pull"], env)).stderr).toContain("planted: already installed");
});

test("pull brings the named models only", async () => {
  const env = await servedHome();
  await run(["pull", "other"], env);
  const { stdout } = await run(["list", "--json"], env);
  expect(
    (JSON.parse(stdout) as { id: string; installed: boolean }[]).map((row) => [row.id, row.installed]),
  ).toEqual([
    ["planted", false],
    ["other", true],
  ]);
});

test("a pull that fails goes on with the other models and ends in an error", async () => {
  const env = await servedHome();
  await run(["pull", "other"], env);
  const { error, stderr } = await run(["pull"], { ...env, HF_ENDPOINT: await deadHub() });
  expect(String(error)).toContain("weights.gguf could not be had from any source");
  expect(stderr).toContain("other: already installed");
});

test("an interrupted pull says how to go on", async () => {
  const { error } = await run(["pull"], await servedHome(), AbortSignal.abort());
  expect(String(error)).toContain("interrupted; the same command goes on where this one stopped");
});

test("list prints a line per model without colours where no person reads", async () => {
  const env = { CONCORD_HOME: await emptyFolder() };
  const { stdout, error } = await run(["list"], env);
  expect(error).toBeNull();
  expect(stdout.split("\n")).toEqual([
    "planted  missing     0.3 MB  CC0-1.0",
    "other    missing     0.3 MB  Other Terms",
    `in ${join(env.CONCORD_HOME, "models")}`,
    "",
  ]);
});

test("verify passes whole files and fails with the names of others", async () => {
  const env = await servedHome();
  await run(["pull"], env);
  expect((await run(["verify"], env)).error).toBeNull();
  await writeFile(
    join(env["CONCORD_HOME"] ?? "", "models", "other", "weights.gguf"),
    Buffer.alloc(contents.length),
  );
  const { stdout, error } = await run(["verify"], env);
  expect(stdout).toMatch(/^planted {2}installed .*\nother {4}corrupt .*\n {2}.* has sha256 [0-9a-f]{64}/);
  expect(String(error)).toBe(
    "Error: not installed, or not as expected: other; run: concord models pull other",
  );
  expect((await run(["verify", "planted"], env)).error).toBeNull();
});

test("verify --json tells what is on disk against what belongs there", async () => {
  const home = await emptyFolder();
  await mkdir(join(home, "models", "planted"), { recursive: true });
  await writeFile(join(home, "models", "planted", "weights.gguf"), "short");
  const { stdout, error } = await run(["verify", "planted", "--json"], { CONCORD_HOME: home });
  const path = join(home, "models", "planted", "weights.gguf");
  expect(JSON.parse(stdout)).toEqual([
    {
      id: "planted",
      displayName: "Planted",
      family: "llama",
      licence: { name: "CC0-1.0", url: planted.licence.url },
      installed: false,
      files: [
        {
          name: "weights.gguf",
          path,
          bytes: contents.length,
          sha256: createHash("sha256").update(contents).digest("hex"),
          state: "corrupt",
          reason: `${path} has 5 bytes, 300000 expected`,
        },
      ],
    },
  ]);
  expect(error).toBeInstanceOf(Error);
});

test.each([[["pull", "nope"]], [["verify", "nope"]], [["list", "--nope"]], [["nope"]]])(
  "%o is a usage error",
  async (args) => {
    const { error } = await run(args, { CONCORD_HOME: await emptyFolder() });
    expect(error).toMatchObject({ name: "CommanderError", exitCode: 1 });
  },
);
