import { Tensor } from "onnxruntime-node";
import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import type { ModelShape } from "../../src/weights/model-shape.ts";

/** Keys and values of one sequence's tokens. */
export interface KvCache {
  /** The cache as graph inputs. */
  feeds(): Readonly<Record<string, Tensor>>;
  /** Puts the new keys and values of `count` tokens, as the graph gave them, at position `start`. */
  store(start: number, count: number, results: Readonly<Record<string, Tensor>>): void;
}

/**
 * Capacities are multiples of this many tokens. The attention clears and copies a cache of the capacity it is
 * given, so spare room costs time at every step; growing costs one copy in so many tokens.
 */
const GROWTH_TOKENS = 128;

interface Entry {
  readonly past: string;
  readonly fresh: string;
  /** (kvHeads, capacity, head). */
  values: Float32Array<ArrayBuffer>;
}

/** An empty cache. What lies beyond the tokens that the caller counts as read is never looked at. */
export function createKvCache(shape: ModelShape): KvCache {
  const { kvHeads, headSize } = shape;
  const entries: Entry[] = [];
  for (let layer = 0; layer < shape.layers; layer++) {
    entries.push(
      { past: GRAPH_PORTS.pastKey(layer), fresh: GRAPH_PORTS.newKey(layer), values: new Float32Array(0) },
      { past: GRAPH_PORTS.pastValue(layer), fresh: GRAPH_PORTS.newValue(layer), values: new Float32Array(0) },
    );
  }
  let capacity = 0;
  let feeds = tensors();

  function tensors(): Record<string, Tensor> {
    const dims = [1, kvHeads, capacity, headSize];
    return Object.fromEntries(entries.map(({ past, values }) => [past, new Tensor("float32", values, dims)]));
  }

  function grow(tokens: number): void {
    const before = capacity * headSize;
    capacity = Math.ceil(tokens / GROWTH_TOKENS) * GROWTH_TOKENS;
    for (const entry of entries) {
      const larger = new Float32Array(kvHeads * capacity * headSize);
      for (let head = 0; head < kvHeads; head++) {
        larger.set(entry.values.subarray(head * before, (head + 1) * before), head * capacity * headSize);
      }
      entry.values = larger;
    }
    feeds = tensors();
  }

  return {
    feeds: () => feeds,
    store(start, count, results) {
      if (start + count > capacity) grow(start + count);
      const size = count * headSize;
      for (const { fresh, values } of entries) {
        const added = results[fresh]?.data as Float32Array;
        for (let head = 0; head < kvHeads; head++) {
          const from = added.subarray(head * size, (head + 1) * size);
          values.set(from, (head * capacity + start) * headSize);
        }
      }
    },
  };
}
