import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKvCache } from "../../adapters/node/kv-cache.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { attention, rotaryTables, sequenceLengths } from "../../src/weights/attention.ts";
import { createExternalData } from "../../src/weights/external-data.ts";
import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import type { ModelShape } from "../../src/weights/model-shape.ts";
import { createOnnxGraph } from "../../src/weights/onnx-graph.ts";

const HEADS = 4;
const KV_HEADS = 2;
const HEAD = 16;
const TOKENS = 150;
const BASE = 10_000;

const shape: ModelShape = {
  family: "llama",
  layers: 1,
  width: HEADS * HEAD,
  heads: HEADS,
  kvHeads: KV_HEADS,
  headSize: HEAD,
  epsilon: 1e-6,
  ropeBase: BASE,
  window: null,
  contextLength: 256,
  vocabularySize: 32,
};

const random = createRandom(7);
const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
const q = normals(TOKENS * HEADS * HEAD);
const k = normals(TOKENS * KV_HEADS * HEAD);
const v = normals(TOKENS * KV_HEADS * HEAD);

/** One head of one token, turned to its position. */
function rotated(
  values: Float32Array,
  token: number,
  heads: number,
  head: number,
  interleaved: boolean,
): number[] {
  const at = (token * heads + head) * HEAD;
  const result = [...values.subarray(at, at + HEAD)];
  for (let pair = 0; pair < HEAD / 2; pair++) {
    const [i, j] = interleaved ? [2 * pair, 2 * pair + 1] : [pair, pair + HEAD / 2];
    const angle = token * BASE ** ((-2 * pair) / HEAD);
    const [x = 0, y = 0] = [values[at + i], values[at + j]];
    result[i] = x * Math.cos(angle) - y * Math.sin(angle);
    result[j] = x * Math.sin(angle) + y * Math.cos(angle);
  }
  return result;
}

/** softmax(q kᵀ / √head) v over the tokens in sight, in float64, as (tokens, heads · head). */
function expected(interleaved: boolean, window: number | null): Float32Array {
  const output = new Float32Array(TOKENS * HEADS * HEAD);
  for (let head = 0; head < HEADS; head++) {
    const group = Math.floor((head * KV_HEADS) / HEADS);
    const keys = Array.from({ length: TOKENS }, (_, token) =>
      rotated(k, token, KV_HEADS, group, interleaved),
    );
    for (let token = 0; token < TOKENS; token++) {
      const query = rotated(q, token, HEADS, head, interleaved);
      const first = window === null ? 0 : Math.max(0, token + 1 - window);
      const scores = keys
        .slice(first, token + 1)
        .map((key) =>
          Math.exp(key.reduce((sum, value, i) => sum + value * (query[i] ?? 0), 0) / Math.sqrt(HEAD)),
        );
      const total = scores.reduce((sum, score) => sum + score, 0);
      for (let i = 0; i < HEAD; i++) {
        const mixed = scores.reduce(
          (sum, score, s) => sum + score * (v[((first + s) * KV_HEADS + group) * HEAD + i] ?? 0),
          0,
        );
        output[(token * HEADS + head) * HEAD + i] = mixed / total;
      }
    }
  }
  return output;
}

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "concord-attention-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function openAttention(
  name: string,
  interleaved: boolean,
  window: number | null,
): Promise<InferenceSession> {
  const pieces: Uint8Array[] = [];
  const data = createExternalData(`${name}.bin`, async (bytes) => void pieces.push(bytes.slice()));
  const graph = createOnnxGraph(name);
  const lengths = sequenceLengths(graph);
  const inputs = [
    graph.input("q", "float32", [1, "t", HEADS * HEAD]),
    graph.input("k", "float32", [1, "t", KV_HEADS * HEAD]),
    graph.input("v", "float32", [1, "t", KV_HEADS * HEAD]),
  ] as const;
  const rotary = await rotaryTables(graph, data, "rotary", BASE, shape);
  const attended = attention(graph, [...inputs], lengths, { layer: 0, shape, rotary, interleaved, window });
  graph.output(attended, "float32", [1, "t", HEADS * HEAD]);
  await writeFile(join(folder, `${name}.bin`), Buffer.concat(pieces));
  await writeFile(join(folder, `${name}.onnx`), graph.encode());
  return InferenceSession.create(join(folder, `${name}.onnx`), { intraOpNumThreads: 1 });
}

/** Reads the tokens in pieces that end at `ends`; a piece that starts before the last end forgets what follows it. */
async function read(
  session: InferenceSession,
  pieces: readonly (readonly [number, number])[],
): Promise<Float32Array> {
  const cache = createKvCache(shape);
  const output = new Float32Array(TOKENS * HEADS * HEAD);
  for (const [start, end] of pieces) {
    const part = (values: Float32Array, heads: number) => {
      const width = heads * HEAD;
      return new Tensor("float32", values.slice(start * width, end * width), [1, end - start, width]);
    };
    const results = await session.run({
      ...cache.feeds(),
      q: part(q, HEADS),
      k: part(k, KV_HEADS),
      v: part(v, KV_HEADS),
      [GRAPH_PORTS.tokens]: new Tensor("int64", new BigInt64Array(end - start), [1, end - start]),
      [GRAPH_PORTS.pastLength]: new Tensor("int64", BigInt64Array.of(BigInt(start)), [1]),
    });
    cache.store(start, end - start, results);
    output.set(results["attended.0"]?.data as Float32Array, start * HEADS * HEAD);
  }
  return output;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

const atOnce = [[0, TOKENS]] as const;
const inPieces = [
  [0, 1],
  [1, 2],
  [2, 40],
  [40, 41],
  [41, 140],
  [140, TOKENS],
] as const;
const withForgetting = [
  [0, 145],
  [20, 149],
  [3, 4],
  [4, 60],
  [60, TOKENS],
] as const;

describe.each([
  { name: "neighbouring pairs, whole context", interleaved: true, window: null },
  { name: "split pairs, whole context", interleaved: false, window: null },
  { name: "split pairs, window of 7", interleaved: false, window: 7 },
])("attention graph: $name", ({ name, interleaved, window }) => {
  let session: InferenceSession;
  let wanted: Float32Array;
  beforeAll(async () => {
    session = await openAttention(name.replaceAll(/\W+/g, "-"), interleaved, window);
    wanted = expected(interleaved, window);
  });
  afterAll(() => session.release());

  test.each([
    { how: "at once", pieces: atOnce },
    { how: "in pieces of one and of many tokens", pieces: inPieces },
    { how: "with tokens forgotten in between", pieces: withForgetting },
  ])("equals the textbook formula to 1e-5 when read $how", async ({ pieces }) => {
    expect(largestDifference(await read(session, pieces), wanted)).toBeLessThan(1e-5);
  });
});
