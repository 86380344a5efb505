import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import { windowOf, type ModelShape } from "../../src/weights/model-shape.ts";
import { nativeFloats, type NativeFloats } from "./native-memory.ts";
import { nativeTensor, type NativeTensor, type Tensors } from "./native-session.ts";
import { KEYS_AT_ONCE, TILE_KEYS } from "./x64/attention-kernels.ts";

/**
 * Keys and values of the sequences that one member reads: for each layer one array (slots, kvHeads, capacity, head), a
 * sequence in a slot of it. The graph writes new tokens in place, and slots that are neighbours are read as a batch.
 * A slot has room for a whole context: memory that no token has been written to takes no place.
 * Numbers are float32, or where attention is ours halves, keys in tiles of `TILE_KEYS` tokens.
 */
export interface KvCache {
  /** Makes room for so many slots; keeps the first `lengths[s]` tokens of each slot. */
  reserve(slots: number, lengths: readonly number[]): void;
  /**
   * `count` slots from `first` on as the graph reads and writes them. Layers with a window get what lies from token
   * `windowStart` on.
   */
  views(first: number, count: number, windowStart: number): KvViews;
  /** A copy of what a slot holds of `count` tokens from `from` on, both multiples of `TILE_KEYS`. */
  copyOut(slot: number, from: number, count: number): KvValues;
  /** Puts such a copy into a slot, for the tokens from `from` on; there must be room. */
  copyIn(slot: number, from: number, values: KvValues): void;
  /** Gives the place of all tokens back, where nobody is read any more. */
  clear(): void;
  /** Not to be used any more. */
  release(): void;
}

/** Float32, or halves. */
export type KvValues = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** The same memory as the graph's past and, where its attention is not ours, as its present. */
export interface KvViews {
  readonly past: Tensors;
  readonly present: Tensors;
}

/** Slots that there are from the first on; then they double, which copies. */
const LEAST_SLOTS = 8;
/** Views that are kept for another step. */
const MOST_VIEWS = 64;

/** Bytes that one token takes. @param attends whether attention is ours */
export function tokenBytes({ layers, kvHeads, headSize }: ModelShape, attends: boolean): number {
  return (attends ? 2 : 4) * 2 * layers * kvHeads * headSize;
}

/**
 * An empty cache. What lies beyond the tokens that the caller counts as read is never looked at.
 * @param attends whether attention is ours
 */
export function createKvCache(shape: ModelShape, attends: boolean): KvCache {
  const { kvHeads, headSize } = shape;
  // One more than a sequence may have: where a full slot is read along for nothing, something is written behind it.
  const capacity = roundUp(shape.contextLength + 1, attends ? KEYS_AT_ONCE : 1);
  const headStride = capacity * headSize;
  const slotStride = kvHeads * headStride;
  const ports = Array.from({ length: shape.layers }, (_, layer) => {
    const windowed = windowOf(shape, layer) !== null;
    return [
      { past: GRAPH_PORTS.pastKey(layer), present: GRAPH_PORTS.presentKey(layer), windowed },
      { past: GRAPH_PORTS.pastValue(layer), present: GRAPH_PORTS.presentValue(layer), windowed },
    ];
  }).flat();
  let arrays: KvArray[] = [];
  let slots = 0;
  const views = new Map<string, { readonly past: Map<string, NativeTensor>; readonly present: Tensors }>();

  function forgetViews(): void {
    for (const { past } of views.values()) for (const tensor of past.values()) tensor.release();
    views.clear();
  }

  /** Calls back with each head's part of the arrays: `count` tokens of the slot from `from` on. */
  function eachHead(slot: number, from: number, count: number, visit: (part: KvValues) => void): void {
    for (const { values } of arrays) {
      for (let head = 0; head < kvHeads; head++) {
        const first = slot * slotStride + head * headStride + from * headSize;
        visit(values.subarray(first, first + count * headSize));
      }
    }
  }

  return {
    reserve(wanted, lengths) {
      if (wanted <= slots) return;
      forgetViews();
      let larger = Math.max(slots, LEAST_SLOTS);
      while (larger < wanted) larger *= 2;
      // A view that begins within the first slot ends as far behind the last. All first: what fails here leaves the old ones.
      const made = ports.map(() => createArray(larger * slotStride + headStride, attends));
      for (const [i, old] of arrays.entries()) {
        for (const [slot, length] of lengths.slice(0, slots).entries()) {
          for (let head = 0; head < kvHeads; head++) {
            const from = slot * slotStride + head * headStride;
            const end = from + roundUp(length, TILE_KEYS) * headSize;
            made[i]!.values.set(old.values.subarray(from, end), from);
          }
        }
        old.release();
      }
      arrays = made;
      slots = larger;
    },
    views(first, count, windowStart) {
      const key = `${first}+${count} from ${windowStart}`;
      const known = views.get(key);
      if (known !== undefined) return known;
      if (views.size === MOST_VIEWS) forgetViews();
      const dims = [count, kvHeads, capacity, headSize];
      const made = { past: new Map<string, NativeTensor>(), present: new Map<string, NativeTensor>() };
      for (const [i, { past, present, windowed }] of ports.entries()) {
        const from = first * slotStride + (windowed ? windowStart * headSize : 0);
        const tensor = nativeTensor(arrays[i]!.values.subarray(from, from + count * slotStride), dims);
        made.past.set(past, tensor);
        if (!attends) made.present.set(present, tensor);
      }
      views.set(key, made);
      return made;
    },
    copyOut(slot, from, count) {
      const size = ports.length * kvHeads * count * headSize;
      const copy = attends ? new Uint16Array(size) : new Float32Array(size);
      let at = 0;
      eachHead(slot, from, count, (part) => {
        copy.set(part, at);
        at += part.length;
      });
      return copy;
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
      for (const array of arrays) array.discard();
    },
    release() {
      forgetViews();
      for (const array of arrays) array.release();
    },
  };
}

interface KvArray extends Pick<NativeFloats, "discard" | "release"> {
  readonly values: KvValues;
}

function createArray(count: number, halves: boolean): KvArray {
  const memory = nativeFloats(halves ? Math.ceil(count / 2) : count);
  const { values, discard, release } = memory;
  return { values: halves ? new Uint16Array(values.buffer) : values, discard, release };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
