import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { pullModel } from "../../../adapters/node/models/pull.ts";
import { deadHub, serveBytes, startFakeHub, type FakeHub, type Respond } from "./fake-hub.ts";
import { contents, emptyFolder, hubSource, listening, plantedModel, sha256 } from "./planted-model.ts";

const model = plantedModel(hubSource);

async function hubThat(respond: Respond): Promise<FakeHub> {
  const hub = await startFakeHub(respond);
  onTestFinished(() => hub.close());
  return hub;
}

const serves: Respond = (response, request) => serveBytes(contents, response, request);

/** Leaves the beginning of a download, as a killed process would. */
async function leavePart(folder: string, bytes: Uint8Array, etag?: string): Promise<void> {
  const staging = join(folder, "planted", ".pull", "hub");
  await mkdir(staging, { recursive: true });
  await writeFile(join(staging, "weights.gguf.part"), bytes);
  if (etag !== undefined) await writeFile(join(staging, "weights.gguf.part.etag"), etag);
}

const installed = (folder: string): Promise<Buffer> => readFile(join(folder, "planted", "weights.gguf"));

test("a pull from the hub leaves the file and no leftovers, and a second pull asks for nothing", async () => {
  const hub = await hubThat(serves);
  const folder = await emptyFolder();
  const options = listening({ HF_ENDPOINT: hub.url });
  expect(await pullModel(model, folder, options)).toBe(true);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(existsSync(join(folder, "planted", ".pull"))).toBe(false);
  expect(await pullModel(model, folder, options)).toBe(false);
  expect(hub.requests.map((request) => request.url)).toEqual(["/owner/repo/resolve/main/weights.gguf"]);
});

test("a transfer that is cut goes on where it stopped", async () => {
  const hub = await hubThat((response, request, count) =>
    serveBytes(contents, response, request, count === 0 ? { stopAfter: 100_000, ending: "cut" } : {}),
  );
  const folder = await emptyFolder();
  await pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }));
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests).toHaveLength(2);
  expect(hub.requests[1]?.headers.range).toBe("bytes=100000-");
  expect(hub.requests[1]?.headers["if-range"]).toBe('"v1"');
});

test("a transfer that stalls is broken off and goes on where it stopped", async () => {
  const hub = await hubThat((response, request, count) =>
    serveBytes(contents, response, request, count === 0 ? { stopAfter: 100_000, ending: "hold" } : {}),
  );
  const folder = await emptyFolder();
  await pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }));
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests[1]?.headers.range).toBe("bytes=100000-");
});

test("a transfer that keeps breaking without bringing a byte is given up", async () => {
  const hub = await hubThat((response, request, count) => {
    if (count === 0) serveBytes(contents, response, request, { stopAfter: 1_000, ending: "cut" });
    else response.writeHead(503).end();
  });
  const folder = await emptyFolder();
  await expect(pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }))).rejects.toThrow("answered 503");
  expect(hub.requests).toHaveLength(5);
});

test("what an earlier process left is continued", async () => {
  const hub = await hubThat(serves);
  const folder = await emptyFolder();
  await leavePart(folder, contents.subarray(0, 123_456), '"v1"');
  await pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }));
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests.map((request) => request.headers.range)).toEqual(["bytes=123456-"]);
});

test("a whole part is installed without a request", async () => {
  const hub = await hubThat(serves);
  const folder = await emptyFolder();
  await leavePart(folder, contents);
  await pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }));
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests).toHaveLength(0);
});

test("a part of another version of the file is replaced", async () => {
  const hub = await hubThat(serves);
  const folder = await emptyFolder();
  await leavePart(folder, Buffer.alloc(50_000), '"v0"');
  await pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }));
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests).toHaveLength(1);
});

test("a broken part is discarded and the download starts over once", async () => {
  const hub = await hubThat(serves);
  const folder = await emptyFolder();
  await leavePart(folder, Buffer.alloc(50_000));
  const options = listening({ HF_ENDPOINT: hub.url });
  await pullModel(model, folder, options);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests.map((request) => request.headers.range)).toEqual(["bytes=50000-", undefined]);
  expect(options.notes).toEqual(["weights.gguf: what an earlier attempt left was broken; starting over"]);
});

test("a part longer than the file is not continued", async () => {
  const hub = await hubThat(serves);
  const folder = await emptyFolder();
  await leavePart(folder, Buffer.alloc(contents.length + 1));
  await pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }));
  expect((await installed(folder)).equals(contents)).toBe(true);
});

test("a file of the right size and another hash is refused and not kept", async () => {
  const hub = await hubThat((response, request) =>
    serveBytes(Buffer.alloc(contents.length), response, request),
  );
  const folder = await emptyFolder();
  await expect(pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }))).rejects.toThrow(
    new RegExp(`sha256 is [0-9a-f]{64}, ${sha256} expected`),
  );
  expect(hub.requests).toHaveLength(1);
  expect(existsSync(join(folder, "planted", "weights.gguf"))).toBe(false);
  expect(existsSync(join(folder, "planted", ".pull", "hub"))).toBe(false);
});

test.each([
  ["size in the answer", {}, 200, "offers 5 bytes, 300000 expected"],
  ["size in the redirect", { "x-linked-size": "7" }, 302, "has 7 bytes, 300000 expected"],
  [
    "hash in the redirect",
    { "x-linked-etag": `"${"a".repeat(64)}"` },
    302,
    `sha256 ${"a".repeat(64)}, ${sha256} expected`,
  ],
])("another file is refused by its %s before its bytes", async (_name, headers, status, message) => {
  const hub = await hubThat((response) => {
    const location = status === 302 ? { location: "/elsewhere" } : {};
    response.writeHead(status, { ...headers, ...location, "content-length": 5 }).end("bytes");
  });
  const folder = await emptyFolder();
  await expect(pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }))).rejects.toThrow(message);
  expect(hub.requests).toHaveLength(1);
});

test("a file that turns out longer than expected is refused", async () => {
  const hub = await hubThat((response) => {
    response.writeHead(200);
    response.write(contents);
    response.end("more");
  });
  const folder = await emptyFolder();
  const pulling = pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }));
  await expect(pulling).rejects.toThrow("more than the expected 300000 bytes");
});

test.each([
  [404, "answered 404"],
  [401, "set HF_TOKEN"],
  [503, "answered 503"],
])("an answer of %i ends the attempt at once", async (status, message) => {
  const hub = await hubThat((response) => void response.writeHead(status).end());
  const folder = await emptyFolder();
  await expect(pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }))).rejects.toThrow(message);
  expect(hub.requests).toHaveLength(1);
});

test("redirects are followed, and the token goes to the hub alone", async () => {
  const store = await hubThat(serves);
  const hub = await hubThat((response, _request, count) => {
    const location = count === 0 ? "/renamed/weights.gguf" : `${store.url}/blob`;
    response.writeHead(302, { location }).end();
  });
  const folder = await emptyFolder();
  await pullModel(model, folder, listening({ HF_ENDPOINT: hub.url, HF_TOKEN: "planted-token" }));
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests.map((request) => request.headers.authorization)).toEqual(
    Array.from({ length: 2 }, () => "Bearer planted-token"),
  );
  expect(store.requests.map((request) => request.headers.authorization)).toEqual([undefined]);
});

test("redirects in a circle are given up", async () => {
  const hub = await hubThat((response) => void response.writeHead(302, { location: "/again" }).end());
  const pulling = pullModel(model, await emptyFolder(), listening({ HF_ENDPOINT: hub.url }));
  await expect(pulling).rejects.toThrow("redirected more than 10 times");
});

test("a hub that accepts the connection and says nothing is given up after the connect limit", async () => {
  const hub = await hubThat(() => {});
  const pulling = pullModel(model, await emptyFolder(), listening({ HF_ENDPOINT: hub.url }));
  await expect(pulling).rejects.toThrow("did not answer within 0.5 s");
});

test("a hub that cannot be reached is named with the reason", async () => {
  const pulling = pullModel(model, await emptyFolder(), listening({ HF_ENDPOINT: await deadHub() }));
  await expect(pulling).rejects.toThrow(/the connection to 127\.0\.0\.1:\d+ failed \(ECONNREFUSED\)/);
});

test("an HF_ENDPOINT that is no address is named", async () => {
  const pulling = pullModel(model, await emptyFolder(), listening({ HF_ENDPOINT: "no address" }));
  await expect(pulling).rejects.toThrow('HF_ENDPOINT is "no address", an http(s) address expected');
});

test("a disk without enough room is found before a request is made", async () => {
  const hub = await hubThat(serves);
  const folder = await emptyFolder();
  await leavePart(folder, contents.subarray(0, 100_000));
  const options = { ...listening({ HF_ENDPOINT: hub.url }), freeBytes: async () => 199_999 };
  await expect(pullModel(model, folder, options)).rejects.toThrow("no room for weights.gguf");
  expect(hub.requests).toHaveLength(0);
  expect(await pullModel(model, folder, { ...options, freeBytes: async () => 200_000 })).toBe(true);
});

test.skipIf(!existsSync("/dev/full"))("a disk that fills up meanwhile is named", async () => {
  const hub = await hubThat(serves);
  const folder = await emptyFolder();
  const staging = join(folder, "planted", ".pull", "hub");
  await mkdir(staging, { recursive: true });
  await symlink("/dev/full", join(staging, "weights.gguf.part"));
  const pulling = pullModel(model, folder, listening({ HF_ENDPOINT: hub.url }));
  await expect(pulling).rejects.toThrow(/no room for weights\.gguf .* the disk is full; free some space/);
  expect(hub.requests).toHaveLength(1);
});

test("an aborted download leaves a part that the next pull continues", async () => {
  const controller = new AbortController();
  const hub = await hubThat((response, request, count) => {
    serveBytes(contents, response, request, count === 0 ? { stopAfter: 100_000, ending: "hold" } : {});
  });
  const folder = await emptyFolder();
  const options = listening({ HF_ENDPOINT: hub.url });
  const progress = {
    stage() {},
    update: (done: number) => void (done === 100_000 && controller.abort(new Error("stopped by the test"))),
    finish() {},
  };
  const pulling = pullModel(model, folder, { ...options, progress, signal: controller.signal });
  await expect(pulling).rejects.toThrow("stopped by the test");
  expect(options.notes).toEqual([]);
  await pullModel(model, folder, options);
  expect((await installed(folder)).equals(contents)).toBe(true);
  expect(hub.requests[1]?.headers.range).toBe("bytes=100000-");
});
