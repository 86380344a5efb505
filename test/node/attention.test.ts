import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKvCache, type KvCache } from "../../adapters/node/kv-cache.ts";
import {
  nativeTensor,
  openNativeSession,
  type NativeSession,
  type NativeTensor,
} from "../../adapters/node/native-session.ts";
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

const whole: ModelShape = {
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

/** Gemma's first layers have a window. */
const windowed: ModelShape = { ...whole, family: "gemma3", window: 7 };

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

async function openAttention(name: string, interleaved: boolean, shape: ModelShape): Promise<NativeSession> {
  const pieces: Uint8Array[] = [];
  const data = createExternalData(`${name}.bin`, async (bytes) => void pieces.push(bytes.slice()));
  const graph = createOnnxGraph(name);
  const lengths = sequenceLengths(graph, shape);
  const inputs = [
    graph.input("q", "float32", ["b", "t", HEADS * HEAD]),
    graph.input("k", "float32", ["b", "t", KV_HEADS * HEAD]),
    graph.input("v", "float32", ["b", "t", KV_HEADS * HEAD]),
  ] as const;
  const rotary = await rotaryTables(graph, data, "rotary", BASE, shape);
  const attended = attention(graph, [...inputs], lengths, { layer: 0, shape, rotary, interleaved });
  graph.output(attended, "float32", ["b", "t", HEADS * HEAD]);
  await writeFile(join(folder, `${name}.bin`), Buffer.concat(pieces));
  await writeFile(join(folder, `${name}.onnx`), graph.encode());
  return openNativeSession({ path: join(folder, `${name}.onnx`), threads: 1, provider: "cpu" });
}

/** Reads tokens `start` to `end` of one slot, or of several neighbours one token each; gives what they attend to (t, heads · head). */
function attend(
  session: NativeSession,
  { window }: ModelShape,
  cache: KvCache,
  slot: number,
  pieces: readonly (readonly [number, number])[],
): Float32Array {
  const [[start, end] = [0, 0]] = pieces;
  const t = end - start;
  const tensors: NativeTensor[] = [];
  const tensor = (data: Parameters<typeof nativeTensor>[0], dims: readonly number[]) => {
    const made = nativeTensor(data, dims);
    tensors.push(made);
    return made;
  };
  const parts = (values: Float32Array, heads: number) => {
    const width = heads * HEAD;
    const joined = new Float32Array(pieces.length * t * width);
    for (const [i, [from, to]] of pieces.entries()) {
      joined.set(values.subarray(from * width, to * width), i * t * width);
    }
    return tensor(joined, [pieces.length, t, width]);
  };
  const ends = pieces.map(([, to]) => to);
  cache.reserve(
    slot + pieces.length,
    Array.from({ length: SLOTS }, () => TOKENS),
  );
  const windowStart = Math.max(0, Math.min(...pieces.map(([from]) => from)) + 1 - (window ?? TOKENS));
  const positions = new BigInt64Array(new ArrayBuffer(8 * pieces.length * t));
  for (const [i, [from]] of pieces.entries())
    for (let j = 0; j < t; j++) positions[i * t + j] = BigInt(from + j);
  const inWindow = new Map([
    [GRAPH_PORTS.windowLastIndex, tensor(held(ends.map((to) => to - 1 - windowStart)), [pieces.length])],
    [GRAPH_PORTS.windowTotal, tensor(held([Math.max(...ends) - windowStart]), [])],
    [GRAPH_PORTS.positions, tensor(positions, [pieces.length, t])],
  ]);
  const { past, present } = cache.views(slot, pieces.length, windowStart);
  const output = new Float32Array(pieces.length * t * HEADS * HEAD);
  session.run(
    new Map([
      ["q", parts(q, HEADS)],
      ["k", parts(k, KV_HEADS)],
      ["v", parts(v, KV_HEADS)],
      [GRAPH_PORTS.lastIndex, tensor(held(ends.map((to) => to - 1)), [pieces.length])],
      [GRAPH_PORTS.total, tensor(held([Math.max(...ends)]), [])],
      ...(window === null ? [] : inWindow),
      ...past,
    ]),
    new Map([["attended.0", tensor(output, [pieces.length, t, HEADS * HEAD])], ...present]),
  );
  for (const made of tensors) made.release();
  return output;
}

const SLOTS = 4;

/** Short arrays may be moved unless they have a buffer of their own. */
function held(values: readonly number[]): Int32Array<ArrayBuffer> {
  const array = new Int32Array(new ArrayBuffer(4 * values.length));
  array.set(values);
  return array;
}

/** Reads the tokens in pieces; a piece that starts before the last end forgets what follows it. */
function read(
  session: NativeSession,
  shape: ModelShape,
  pieces: readonly (readonly [number, number])[],
): Float32Array {
  const cache = createKvCache(shape);
  const output = new Float32Array(TOKENS * HEADS * HEAD);
  for (const [start, end] of pieces) {
    output.set(attend(session, shape, cache, 0, [[start, end]]), start * HEADS * HEAD);
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
  { name: "neighbouring pairs, whole context", interleaved: true, shape: whole },
  { name: "split pairs, whole context", interleaved: false, shape: whole },
  { name: "split pairs, window of 7", interleaved: false, shape: windowed },
])("attention graph: $name", ({ name, interleaved, shape }) => {
  let session: NativeSession;
  let wanted: Float32Array;
  beforeAll(async () => {
    session = await openAttention(name.replaceAll(/\W+/g, "-"), interleaved, shape);
    wanted = expected(interleaved, shape.window);
  });
  afterAll(() => session.release());

  test.each([
    { how: "at once", pieces: atOnce },
    { how: "in pieces of one and of many tokens", pieces: inPieces },
    { how: "with tokens forgotten in between", pieces: withForgetting },
  ])("equals the textbook formula to 1e-5 when read $how", async ({ pieces }) => {
    expect(largestDifference(read(session, shape, pieces), wanted)).toBeLessThan(1e-5);
  });

  test.each([
    { where: "far apart", lengths: [100, 7, 140] },
    { where: "beyond the window", lengths: [130, 111, 140] },
  ])("equals it to 1e-5 in a batch of neighbours $where, after the cache has grown", ({ lengths }) => {
    const cache = createKvCache(shape);
    for (const [slot, length] of lengths.entries()) attend(session, shape, cache, slot, [[0, length]]);
    for (let step = 0; step < 5; step++) {
      const output = attend(
        session,
        shape,
        cache,
        0,
        lengths.map((length) => [length + step, length + step + 1] as const),
      );
      for (const [slot, length] of lengths.entries()) {
        const row = HEADS * HEAD;
        const got = output.subarray(slot * row, (slot + 1) * row);
        const first = (length + step) * row;
        expect(largestDifference(got, wanted.subarray(first, first + row))).toBeLessThan(1e-5);
      }
    }
  });
});
