import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decoderGraph } from "../../adapters/node/graph-cache.ts";
import { createOnnxDecoder } from "../../adapters/node/onnx-member.ts";
import { createRandom } from "../../src/linalg/random.ts";
import type { LinearDecoder } from "../../src/weights/head.ts";

const WIDTH = 64;
const VOCABULARY = 5000;

const random = createRandom(11);
const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
const matrix = normals(VOCABULARY * WIDTH);
const bias = normals(VOCABULARY);
const decoder: LinearDecoder = {
  vocabularySize: VOCABULARY,
  width: WIDTH,
  rows: (first, count) => matrix.subarray(first * WIDTH, (first + count) * WIDTH),
  bias,
};

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "concord-graphs-"));
});
afterEach(() => rm(directory, { recursive: true }));

let loads = 0;
beforeEach(() => {
  loads = 0;
});
const load = async () => {
  loads += 1;
  return decoder;
};
const build = () => decoderGraph({ directory, key: "toy", label: "toy", load });

test("a decoder's logits are states times matrix plus bias, to 8 bits", async () => {
  const toy = await createOnnxDecoder({ name: "toy", files: await build() });
  // More rows than the worker is asked for at once.
  const states = normals(70 * WIDTH);
  const logits = await toy.decode(states);
  await toy.close();
  expect(logits.length).toBe(70 * VOCABULARY);
  let [error, size] = [0, 0];
  for (let row = 0; row < 70; row++) {
    for (let token = 0; token < VOCABULARY; token += 97) {
      let exact = bias[token] ?? 0;
      for (let i = 0; i < WIDTH; i++) {
        exact += (states[row * WIDTH + i] ?? 0) * (matrix[token * WIDTH + i] ?? 0);
      }
      error += (exact - (logits[row * VOCABULARY + token] ?? Number.NaN)) ** 2;
      size += exact ** 2;
    }
  }
  expect(Math.sqrt(error / size)).toBeLessThan(0.01);
});

test("a graph is built once", async () => {
  const first = await build();
  const before = await readFile(first.head);
  expect(await build()).toStrictEqual(first);
  expect(await readFile(first.head)).toStrictEqual(before);
  expect(loads).toBe(1);
});

test("two builds at once both end with the whole graph", async () => {
  const [a, b] = await Promise.all([build(), build()]);
  expect(a).toStrictEqual(b);
  expect(loads).toBe(2);
  expect(await readdir(directory)).toHaveLength(1);
  expect(await readdir(join(a.head, ".."))).toHaveLength(3);
});

test("a build that fails leaves nothing behind, and the next one starts anew", async () => {
  const failing: LinearDecoder = {
    ...decoder,
    rows(first, count) {
      if (first > 0) throw new Error("the disk is gone");
      return decoder.rows(first, count);
    },
  };
  const broken = decoderGraph({ directory, key: "toy", label: "toy", load: async () => failing });
  await expect(broken).rejects.toThrow("the disk is gone");
  expect(await readdir(directory)).toStrictEqual([]);
  await build();
  expect(await readdir(directory)).toHaveLength(1);
});

test("what a dead process left is removed, what a living one is writing stays", async () => {
  const dead = spawnSync(process.execPath, ["--version"]).pid;
  const abandoned = `.building-${hostname()}-${dead}-00000000`;
  const living = `.building-${hostname()}-${process.ppid}-00000000`;
  const elsewhere = `.building-another.${hostname()}-${dead}-00000000`;
  for (const name of [abandoned, living, elsewhere]) await mkdir(join(directory, name));
  await build();
  const left = await readdir(directory);
  expect(left).not.toContain(abandoned);
  expect(left).toContain(living);
  expect(left).toContain(elsewhere);
});

test("a decoder whose graph is damaged refuses to decode and says so", async () => {
  const files = await build();
  const toy = await createOnnxDecoder({
    name: "toy",
    files: { ...files, head: join(directory, "gone.onnx") },
  });
  await expect(toy.decode(new Float32Array(WIDTH))).rejects.toMatchObject({
    code: "internal",
    message: expect.stringContaining("gone.onnx"),
  });
  await toy.close();
});
