import koffi from "koffi";
import { afterAll, describe, expect, test } from "vitest";
import { nativeCode, nativeFloats, type NativeFloats } from "../../../adapters/node/native-memory.ts";
import {
  appendCode,
  attendCode,
  ATTENTION,
  ATTENTION_BYTES,
  attentionConstants,
  KEYS_AT_ONCE,
  MOST_QUERIES,
  type AttentionShape,
} from "../../../adapters/node/x64/attention-kernels.ts";
import { hasOperators } from "../../../adapters/node/x64/operator.ts";
import { createRandom } from "../../../src/linalg/random.ts";
import { float16Values, nearestFloat16 } from "../../../src/weights/float16.ts";

const CONTEXT = 300;
const CAPACITY = Math.ceil((CONTEXT + 1) / KEYS_AT_ONCE) * KEYS_AT_ONCE;
const BASE = 10_000;
const half = (value: number): number => float16Values[nearestFloat16(value)]!;

interface Sequence {
  /** By token: queries (heads, head), keys and values (kvHeads, head). */
  readonly tokens: readonly {
    readonly q: Float32Array;
    readonly k: Float32Array;
    readonly v: Float32Array;
  }[];
}

function randomSequence(
  seed: number,
  { heads, kvHeads, headSize }: AttentionShape,
  length: number,
): Sequence {
  const random = createRandom(seed);
  const normals = (count: number) => Float32Array.from({ length: count }, () => 2 * random.normal());
  return {
    tokens: Array.from({ length }, () => ({
      q: normals(heads * headSize),
      k: normals(kvHeads * headSize),
      v: normals(kvHeads * headSize),
    })),
  };
}

const addressOf = ({ values }: NativeFloats): bigint => koffi.address(values);

/** The cache's memory and the code, for sequences that are read in pieces. */
function openAttention(shape: AttentionShape, slots: number, window: number) {
  const { heads, kvHeads, headSize } = shape;
  const all: { release(): void }[] = [];
  const memory = (values: Float32Array | number): NativeFloats => {
    const made = nativeFloats(typeof values === "number" ? values : values.length);
    if (typeof values !== "number") made.values.set(values);
    all.push(made);
    return made;
  };
  const pairs = headSize / 2;
  const table = (angle: (x: number) => number) =>
    memory(
      Float32Array.from({ length: CONTEXT * pairs }, (_, i) =>
        angle(Math.floor(i / pairs) * BASE ** ((-2 * (i % pairs)) / headSize)),
      ),
    );
  const constants = addressOf(memory(attentionConstants(shape)));
  const code = nativeCode([
    appendCode(shape, constants),
    ...Array.from({ length: MOST_QUERIES }, (_, i) => attendCode(shape, constants, i + 1)),
  ]);
  all.push(code);
  const [append, ...attend] = code.addresses.map((address) =>
    koffi.decode(address, koffi.proto("void (int64_t, int64_t)")),
  ) as ((a: bigint, b: number) => void)[];
  const cacheSize = (slots * kvHeads * CAPACITY * headSize) / 2;
  const fields = memory(ATTENTION_BYTES / 4);
  const numbers = new BigInt64Array(fields.values.buffer);
  const put = (offset: number, value: number | bigint): void => {
    numbers[offset / 8] = BigInt(value);
  };
  // What no token has been written to may hold anything.
  const caches = [memory(cacheSize), memory(cacheSize)] as const;
  for (const cache of caches) new Uint16Array(cache.values.buffer).fill(0x7e00);
  put(ATTENTION.keys, addressOf(caches[0]));
  put(ATTENTION.values, addressOf(caches[1]));
  put(ATTENTION.headBytes, CAPACITY * headSize * 2);
  put(ATTENTION.cos, addressOf(table(Math.cos)));
  put(ATTENTION.sin, addressOf(table(Math.sin)));
  put(ATTENTION.positions, CONTEXT);
  put(ATTENTION.window, window);

  /** Tokens from `starts[s]` on of each sequence; (sequences, count, heads · head). */
  function read(sequences: readonly Sequence[], starts: readonly number[], count: number): Float32Array {
    const rows = sequences.length * count;
    const width = (heads + 2 * kvHeads) * headSize;
    const packed = memory(rows * width);
    for (const [s, { tokens }] of sequences.entries()) {
      for (let t = 0; t < count; t++) {
        const { q, k, v } = tokens[starts[s]! + t]!;
        const at = (s * count + t) * width;
        packed.values.set(q, at);
        packed.values.set(k, at + q.length);
        packed.values.set(v, at + q.length + k.length);
      }
    }
    const output = memory(rows * heads * headSize);
    const last = memory(sequences.length);
    new Int32Array(last.values.buffer).set(starts.map((start) => start + count - 1));
    const perHead = (count * heads) / kvHeads;
    const groups = Math.ceil(perHead / MOST_QUERIES);
    const groupQueries = Math.ceil(perHead / groups);
    put(ATTENTION.queries, addressOf(packed));
    put(ATTENTION.newKeys, addressOf(packed) + BigInt(4 * heads * headSize));
    put(ATTENTION.newValues, addressOf(packed) + BigInt(4 * (heads + kvHeads) * headSize));
    for (const stride of [ATTENTION.queryStride, ATTENTION.newKeyStride, ATTENTION.newValueStride]) {
      put(stride, 4 * width);
    }
    put(ATTENTION.lastIndex, addressOf(last));
    put(ATTENTION.output, addressOf(output));
    put(ATTENTION.sequences, sequences.length);
    put(ATTENTION.tokens, count);
    put(ATTENTION.groups, groups);
    put(ATTENTION.groupQueries, groupQueries);
    append!(addressOf(fields), 0);
    for (let i = 0; i < sequences.length * kvHeads * groups; i++)
      attend[groupQueries - 1]!(addressOf(fields), i);
    return output.values.slice();
  }
  return { read, release: () => all.forEach((part) => part.release()) };
}

/** What one token of a sequence attends to, in float64, with keys and values in half precision. */
function expected({ tokens }: Sequence, token: number, shape: AttentionShape, window: number): Float64Array {
  const { heads, kvHeads, headSize, interleaved, scale } = shape;
  const rotated = (values: Float32Array, head: number, position: number): Float64Array => {
    const own = Float64Array.from(values.subarray(head * headSize, (head + 1) * headSize));
    const turned = own.slice();
    for (let pair = 0; pair < headSize / 2; pair++) {
      const [i, j] = interleaved ? [2 * pair, 2 * pair + 1] : [pair, pair + headSize / 2];
      const angle = position * BASE ** ((-2 * pair) / headSize);
      turned[i] = own[i]! * Math.cos(angle) - own[j]! * Math.sin(angle);
      turned[j] = own[i]! * Math.sin(angle) + own[j]! * Math.cos(angle);
    }
    return turned;
  };
  const output = new Float64Array(heads * headSize);
  for (let head = 0; head < heads; head++) {
    const group = Math.floor((head * kvHeads) / heads);
    const query = rotated(tokens[token]!.q, head, token);
    const first = Math.max(0, token + 1 - window);
    const scores = tokens.slice(first, token + 1).map(({ k }, i) => {
      const key = rotated(k, group, first + i).map(half);
      return scale * key.reduce((sum, value, at) => sum + value * query[at]!, 0);
    });
    const most = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [s, weight] of weights.entries()) {
      const { v } = tokens[first + s]!;
      for (let i = 0; i < headSize; i++) {
        output[head * headSize + i]! += (weight / total) * half(v[group * headSize + i]!);
      }
    }
  }
  return output;
}

const shapes: readonly AttentionShape[] = [
  { heads: 9, kvHeads: 3, headSize: 64, interleaved: true, scale: 64 ** -0.5 },
  { heads: 4, kvHeads: 1, headSize: 256, interleaved: false, scale: 256 ** -0.5 },
  { heads: 2, kvHeads: 2, headSize: 32, interleaved: true, scale: 0.3 },
  { heads: 7, kvHeads: 1, headSize: 96, interleaved: false, scale: 0.1 },
];
const UNSEEN = 2 ** 31 - 1;

describe.runIf(hasOperators())("attention in machine code", () => {
  const opened: { release(): void }[] = [];
  afterAll(() => opened.forEach((one) => one.release()));

  test.each(
    shapes.flatMap((shape) => [UNSEEN, 40, 1].map((window) => [shape.headSize, window, shape] as const)),
  )("heads of %i, a window of %i: a piece, then token by token", (_, window, shape) => {
    const attention = openAttention(shape, 3, window);
    opened.push(attention);
    const sequences = [1, 2, 3].map((seed) => randomSequence(seed, shape, 150));
    const width = shape.heads * shape.headSize;
    const compare = (row: Float32Array, sequence: Sequence, token: number): void => {
      const right = expected(sequence, token, shape, window);
      for (const [i, value] of right.entries()) {
        if (!(Math.abs(row[i]! - value) < 2e-3))
          throw new Error(`token ${token}, ${i}: ${row[i]} for ${value}`);
      }
    };
    for (const [start, count] of [
      [0, 1],
      [1, 2],
      [3, 60],
      [63, 1],
      [64, 50],
      [114, 1],
      [115, 1],
      [100, 33],
    ] as const) {
      const rows = attention.read(sequences, [start, start, start], count);
      for (let s = 0; s < 3; s++) {
        for (const t of new Set([0, count >> 1, count - 1])) {
          const at = (s * count + t) * width;
          compare(rows.subarray(at, at + width), sequences[s]!, start + t);
        }
      }
    }
    // Each at a place of its own.
    const starts = [133, 20, 64];
    const rows = attention.read(sequences, starts, 1);
    for (const [s, start] of starts.entries()) {
      compare(rows.subarray(s * width, (s + 1) * width), sequences[s]!, start);
    }
    expect(rows.length).toBe(3 * width);
  });
});
