import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import type { ModelShape } from "../../src/weights/model-shape.ts";
import { nativeTensor, type NativeTensor, type Tensors } from "./native-session.ts";

/**
 * Keys and values of the sequences that one member reads: for each layer one array (slots, kvHeads, capacity, head), a
 * sequence in a slot of it. The graph writes new tokens in place, and slots that are neighbours are read as a batch.
 */
export interface KvCache {
  /** Slots there are. */
  readonly slots: number;
  /** Tokens that a slot holds. */
  readonly capacity: number;
  /** Makes room for so many slots of so many tokens; keeps the first `lengths[s]` tokens of each slot. */
  reserve(slots: number, tokens: number, lengths: readonly number[]): void;
  /** `count` slots from `first` on as the graph's past, which is also its present. */
  past(first: number, count: number): Tensors;
  present(first: number, count: number): Tensors;
  /** A copy of what a slot holds of `count` tokens from `from` on. */
  copyOut(slot: number, from: number, count: number): Float32Array;
  /** Puts such a copy into a slot, for the tokens from `from` on; there must be room. */
  copyIn(slot: number, from: number, values: Float32Array): void;
  /** Gives all memory back. */
  clear(): void;
}

/** The least capacity. It doubles when it must grow: memory that no token has been written to takes no place. */
const LEAST_TOKENS = 512;

interface Views {
  readonly past: Map<string, NativeTensor>;
  readonly present: Map<string, NativeTensor>;
}

/** Bytes that one token takes. */
export function tokenBytes({ layers, kvHeads, headSize }: ModelShape): number {
  return 4 * 2 * layers * kvHeads * headSize;
}

/** An empty cache. What lies beyond the tokens that the caller counts as read is never looked at. */
export function createKvCache(shape: ModelShape): KvCache {
  const { kvHeads, headSize } = shape;
  const ports = Array.from({ length: shape.layers }, (_, layer) => [
    { past: GRAPH_PORTS.pastKey(layer), present: GRAPH_PORTS.presentKey(layer) },
    { past: GRAPH_PORTS.pastValue(layer), present: GRAPH_PORTS.presentValue(layer) },
  ]).flat();
  let arrays = ports.map(() => new Float32Array(0));
  let [slots, capacity] = [0, 0];
  const views = new Map<string, Views>();

  function forgetViews(): void {
    for (const { past } of views.values()) for (const tensor of past.values()) tensor.release();
    views.clear();
  }

  function view(first: number, count: number): Views {
    const key = `${first}+${count}`;
    const known = views.get(key);
    if (known !== undefined) return known;
    const size = kvHeads * capacity * headSize;
    const dims = [count, kvHeads, capacity, headSize];
    const made: Views = { past: new Map(), present: new Map() };
    for (const [i, { past, present }] of ports.entries()) {
      const tensor = nativeTensor(arrays[i]!.subarray(first * size, (first + count) * size), dims);
      made.past.set(past, tensor);
      made.present.set(present, tensor);
    }
    views.set(key, made);
    return made;
  }

  /** Calls back with each head's part of the arrays: `count` tokens of the slot from `from` on. */
  function eachHead(slot: number, from: number, count: number, visit: (part: Float32Array) => void): void {
    for (const array of arrays) {
      for (let head = slot * kvHeads; head < (slot + 1) * kvHeads; head++) {
        const first = (head * capacity + from) * headSize;
        visit(array.subarray(first, first + count * headSize));
      }
    }
  }

  return {
    get slots() {
      return slots;
    },
    get capacity() {
      return capacity;
    },
    reserve(wantedSlots, tokens, lengths) {
      const newSlots = grown(slots, wantedSlots, 1);
      const newCapacity = grown(capacity, tokens, LEAST_TOKENS);
      if (newSlots === slots && newCapacity === capacity) return;
      forgetViews();
      arrays = arrays.map((array) => {
        const larger = new Float32Array(newSlots * kvHeads * newCapacity * headSize);
        for (const [slot, length] of lengths.slice(0, slots).entries()) {
          for (let head = slot * kvHeads; head < (slot + 1) * kvHeads; head++) {
            const from = head * capacity * headSize;
            larger.set(array.subarray(from, from + length * headSize), head * newCapacity * headSize);
          }
        }
        return larger;
      });
      [slots, capacity] = [newSlots, newCapacity];
    },
    past: (first, count) => view(first, count).past,
    present: (first, count) => view(first, count).present,
    copyOut(slot, from, count) {
      const values = new Float32Array(ports.length * kvHeads * count * headSize);
      let at = 0;
      eachHead(slot, from, count, (part) => {
        values.set(part, at);
        at += part.length;
      });
      return values;
    },
    copyIn(slot, from, values) {
      const size = values.length / (ports.length * kvHeads);
      let at = 0;
      eachHead(slot, from, size / headSize, (part) => {
        part.set(values.subarray(at, at + size));
        at += size;
      });
    },
    clear() {
      forgetViews();
      arrays = ports.map(() => new Float32Array(0));
      [slots, capacity] = [0, 0];
    },
  };
}

/** Doubled until it is enough. */
function grown(size: number, wanted: number, least: number): number {
  let enough = Math.max(size, least);
  while (enough < wanted) enough *= 2;
  return enough;
}
