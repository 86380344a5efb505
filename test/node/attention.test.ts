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
import { hasOperators } from "../../adapters/node/x64/operator.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { attention, rotaryTables, sequenceLengths } from "../../src/weights/attention.ts";
import { createExternalData } from "../../src/weights/external-data.ts";
import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import type { ModelShape } from "../../src/weights/model-shape.ts";
import { createOnnxGraph } from "../../src/weights/onnx-graph.ts";

const HEADS = 4;
const KV_HEADS = 2;
const TOKENS = 150;
const BASE = 10_000;

const shapeOf = (headSize: number): ModelShape => ({
  family: "llama",
  layers: 1,
  width: HEADS * headSize,
  heads: HEADS,
  kvHeads: KV_HEADS,
  headSize,
  epsilon: 1e-6,
  ropeBase: BASE,
  window: null,
  contextLength: 256,
  vocabularySize: 32,
});
/** Gemma's first layers have a window. */
const windowed = (shape: ModelShape): ModelShape => ({ ...shape, family: "gemma3", window: 7 });

interface Values {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

function randomValues({ headSize }: ModelShape): Values {
  const random = createRandom(7);
  const normals = (heads: number) =>
    Float32Array.from({ length: TOKENS * heads * headSize }, () => random.normal());
  return { q: normals(HEADS), k: normals(KV_HEADS), v: normals(KV_HEADS) };
}

/** One head of one token, turned to its position. */
function rotated(
  values: Float32Array,
  token: number,
  heads: number,
  head: number,
  interleaved: boolean,
): number[] {
  const size = values.length / TOKENS / heads;
  const at = (token * heads + head) * size;
  const result = [...values.subarray(at, at + size)];
  for (let pair = 0; pair < size / 2; pair++) {
    const [i, j] = interleaved ? [2 * pair, 2 * pair + 1] : [pair, pair + size / 2];
    const angle = token * BASE ** ((-2 * pair) / size);
    const [x = 0, y = 0] = [values[at + i], values[at + j]];
    result[i] = x * Math.cos(angle) - y * Math.sin(angle);
    result[j] = x * Math.sin(angle) + y * Math.cos(angle);
  }
  return result;
}

/** softmax(q kᵀ / √head) v over the tokens in sight, in float64, as (tokens, heads · head). */
function expected({ q, k, v }: Values, interleaved: boolean, window: number | null): Float32Array {
  const output = new Float32Array(q.length);
  const size = q.length / TOKENS / HEADS;
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
          Math.exp(key.reduce((sum, value, i) => sum + value * (query[i] ?? 0), 0) / Math.sqrt(size)),
        );
      const total = scores.reduce((sum, score) => sum + score, 0);
      for (let i = 0; i < size; i++) {
        const mixed = scores.reduce(
          (sum, score, s) => sum + score * (v[((first + s) * KV_HEADS + group) * size + i] ?? 0),
          0,
        );
        output[(token * HEADS + head) * size + i] = mixed / total;
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

interface Subject {
  readonly session: NativeSession;
  readonly shape: ModelShape;
  readonly values: Values;
  /** Queries, keys and values of a token are one input. */
  readonly packed: boolean;
}

interface Case {
  readonly interleaved: boolean;
  readonly packed: boolean;
  readonly shape: ModelShape;
  readonly threads: number;
}

async function openAttention({ interleaved, packed, shape, threads }: Case): Promise<Subject> {
  const name = `graph-${openedCount++}`;
  const pieces: Uint8Array[] = [];
  const data = createExternalData(`${name}.bin`, async (bytes) => void pieces.push(bytes.slice()));
  const graph = createOnnxGraph(name);
  const lengths = sequenceLengths(graph, shape);
  const input = (port: string, heads: number) =>
    graph.input(port, "float32", ["b", "t", heads * shape.headSize]);
  const qkv = packed
    ? ([input("qkv", HEADS + 2 * KV_HEADS)] as const)
    : ([input("q", HEADS), input("k", KV_HEADS), input("v", KV_HEADS)] as const);
  const rotary = await rotaryTables(graph, data, "rotary", BASE, shape);
  const attended = attention(graph, qkv, lengths, { layer: 0, shape, rotary, interleaved });
  graph.output(attended, "float32", ["b", "t", HEADS * shape.headSize]);
  await writeFile(join(folder, `${name}.bin`), Buffer.concat(pieces));
  await writeFile(join(folder, `${name}.onnx`), graph.encode());
  const session = openNativeSession({ path: join(folder, `${name}.onnx`), threads, provider: "cpu" });
  return { session, shape, values: randomValues(shape), packed };
}
let openedCount = 0;

/** Reads tokens `start` to `end` of one slot, or of several neighbours one token each; gives what they attend to (t, heads · head). */
function attend(
  { session, shape, values, packed }: Subject,
  cache: KvCache,
  slot: number,
  pieces: readonly (readonly [number, number])[],
): Float32Array {
  const { window, headSize } = shape;
  const [[start, end] = [0, 0]] = pieces;
  const t = end - start;
  const tensors: NativeTensor[] = [];
  const tensor = (data: Parameters<typeof nativeTensor>[0], dims: readonly number[]) => {
    const made = nativeTensor(data, dims);
    tensors.push(made);
    return made;
  };
  /** The pieces' tokens, of each the given values behind one another. */
  const joined = (...parts: readonly (readonly [Float32Array, number])[]) => {
    const tokens = pieces.flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => from + i));
    const rows: number[] = [];
    for (const token of tokens) {
      for (const [all, heads] of parts) {
        const width = heads * headSize;
        rows.push(...all.subarray(token * width, (token + 1) * width));
      }
    }
    return tensor(Float32Array.from(rows), [pieces.length, t, rows.length / tokens.length]);
  };
  const { q, k, v } = values;
  const qkv: [string, NativeTensor][] = packed
    ? [["qkv", joined([q, HEADS], [k, KV_HEADS], [v, KV_HEADS])]]
    : [
        ["q", joined([q, HEADS])],
        ["k", joined([k, KV_HEADS])],
        ["v", joined([v, KV_HEADS])],
      ];
  const ends = pieces.map(([, to]) => to);
  cache.reserve(
    slot + pieces.length,
    Array.from({ length: SLOTS }, () => TOKENS),
  );
  const lengths = new Map<string, NativeTensor>([
    [GRAPH_PORTS.lastIndex, tensor(held(ends.map((to) => to - 1)), [pieces.length])],
  ]);
  let windowStart = 0;
  if (!session.attends) lengths.set(GRAPH_PORTS.total, tensor(held([Math.max(...ends)]), []));
  if (!session.attends && window !== null) {
    windowStart = Math.max(0, Math.min(...pieces.map(([from]) => from)) + 1 - window);
    const positions = pieces.flatMap(([from]) => Array.from({ length: t }, (_, i) => BigInt(from + i)));
    const inWindow = held(ends.map((to) => to - 1 - windowStart));
    lengths.set(GRAPH_PORTS.windowLastIndex, tensor(inWindow, [pieces.length]));
    lengths.set(GRAPH_PORTS.windowTotal, tensor(held([Math.max(...ends) - windowStart]), []));
    lengths.set(GRAPH_PORTS.positions, tensor(BigInt64Array.from(positions), [pieces.length, t]));
  }
  const { past, present } = cache.views(slot, pieces.length, windowStart);
  const output = new Float32Array(pieces.length * t * HEADS * headSize);
  session.run(
    new Map([...qkv, ...lengths, ...past]),
    new Map([["attended.0", tensor(output, [pieces.length, t, HEADS * headSize])], ...present]),
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
function read(subject: Subject, pieces: readonly (readonly [number, number])[]): Float32Array {
  const cache = createKvCache(subject.shape, subject.session.attends);
  const row = HEADS * subject.shape.headSize;
  const output = new Float32Array(TOKENS * row);
  for (const [start, end] of pieces) output.set(attend(subject, cache, 0, [[start, end]]), start * row);
  cache.release();
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

/** What is computed here has heads of a multiple of 32, and keeps 11 bits of keys and values around 1. */
const ours = { headSize: 64, attends: hasOperators(), tolerance: hasOperators() ? 2e-3 : 1e-5 };
const onnxruntimes = { headSize: 16, attends: false, tolerance: 1e-5 };

describe.each([
  { whose: "onnxruntime", ...onnxruntimes },
  { whose: "machine code where there is any", ...ours },
])("attention by $whose", ({ headSize, attends, tolerance }) => {
  const whole = shapeOf(headSize);
  describe.each([
    { name: "neighbouring pairs, whole context", interleaved: true, packed: false, shape: whole, threads: 1 },
    { name: "all in one, two threads", interleaved: true, packed: true, shape: whole, threads: 2 },
    { name: "split pairs, whole context", interleaved: false, packed: false, shape: whole, threads: 1 },
    {
      name: "split pairs, window of 7",
      interleaved: false,
      packed: false,
      shape: windowed(whole),
      threads: 1,
    },
  ])("$name", (given) => {
    let subject: Subject;
    let wanted: Float32Array;
    beforeAll(async () => {
      subject = await openAttention(given);
      wanted = expected(subject.values, given.interleaved, given.shape.window);
    });
    afterAll(() => subject.session.release());

    test("is computed there", () => {
      expect(subject.session.attends).toBe(attends);
    });

    test.each([
      { how: "at once", pieces: atOnce },
      { how: "in pieces of one and of many tokens", pieces: inPieces },
      { how: "with tokens forgotten in between", pieces: withForgetting },
    ])("equals the textbook formula when read $how", ({ pieces }) => {
      expect(largestDifference(read(subject, pieces), wanted)).toBeLessThan(tolerance);
    });

    test.each([
      { where: "far apart", lengths: [100, 7, 140] },
      { where: "beyond the window", lengths: [130, 111, 140] },
    ])("equals it in a batch of neighbours $where, after the cache has grown", ({ lengths }) => {
      const cache = createKvCache(subject.shape, attends);
      for (const [slot, length] of lengths.entries()) attend(subject, cache, slot, [[0, length]]);
      for (let step = 0; step < 5; step++) {
        const output = attend(
          subject,
          cache,
          0,
          lengths.map((length) => [length + step, length + step + 1] as const),
        );
        for (const [slot, length] of lengths.entries()) {
          const row = HEADS * headSize;
          const got = output.subarray(slot * row, (slot + 1) * row);
          const first = (length + step) * row;
          expect(largestDifference(got, wanted.subarray(first, first + row))).toBeLessThan(tolerance);
        }
      }
      cache.release();
    });

    test("equals it where another slot took over what was read in blocks", () => {
      const cache = createKvCache(subject.shape, attends);
      const row = HEADS * headSize;
      attend(subject, cache, 0, [[0, 140]]);
      cache.reserve(SLOTS, []);
      for (const from of [0, 32, 64, 96]) cache.copyIn(3, from, cache.copyOut(0, from, 32));
      const output = attend(subject, cache, 3, [[128, TOKENS]]);
      expect(largestDifference(output, wanted.subarray(128 * row))).toBeLessThan(tolerance);
      cache.release();
    });
  });
});
