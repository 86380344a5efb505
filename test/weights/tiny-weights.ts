import { createRandom } from "../../src/linalg/random.ts";
import { blockLayout, splitLowBits } from "../../src/weights/dequantize.ts";
import type { TensorInfo, WeightFile } from "../../src/weights/gguf.ts";
import type { MetadataValue } from "../../src/weights/gguf-header.ts";
import { createMetadata } from "../../src/weights/metadata.ts";

export interface TinyWeightsOptions {
  readonly family?: string;
  /** Put over the tiny model's own metadata; undefined takes an entry away. */
  readonly metadata?: Readonly<Record<string, MetadataValue | undefined>>;
  /** Shapes put over the tiny model's own; null takes a tensor away. */
  readonly tensors?: Readonly<Record<string, readonly number[] | null>>;
  /** Types of tensors that are not F32; what they hold is zeros. */
  readonly types?: Readonly<Record<string, string>>;
}

const LAYERS = 2;
const WIDTH = 64;
const INNER = 96;
const VOCABULARY = 40;

/** The weights of a llama with two layers, in memory, random but always the same. */
export function createTinyWeights(options: TinyWeightsOptions = {}): WeightFile {
  const { family = "llama" } = options;
  const values = new Map<string, MetadataValue>([
    ["general.architecture", family],
    [`${family}.block_count`, LAYERS],
    [`${family}.embedding_length`, WIDTH],
    [`${family}.attention.head_count`, 4],
    [`${family}.attention.head_count_kv`, 2],
    [`${family}.attention.layer_norm_rms_epsilon`, 1e-5],
    [`${family}.context_length`, 100],
  ]);
  for (const [key, value] of Object.entries(options.metadata ?? {})) {
    if (value === undefined) values.delete(key);
    else values.set(key, value);
  }
  const shapes: Record<string, readonly number[] | null> = {
    "token_embd.weight": [VOCABULARY, WIDTH],
    "output_norm.weight": [WIDTH],
    ...Object.fromEntries(Array.from({ length: LAYERS }, (_, layer) => blockShapes(layer)).flat()),
    ...options.tensors,
  };
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of Object.entries(shapes)) {
    const type = options.types?.[name] ?? "F32";
    if (shape !== null) tensors.set(name, { name, type, shape, offset: 0, bytes: 0 });
  }
  const read = (name: string): Float32Array => {
    const shape = tensors.get(name)?.shape;
    if (shape === undefined) throw new RangeError(`weights: no tensor ${name}`);
    const random = createRandom(name.length);
    return Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () =>
      random.normal(),
    );
  };
  return {
    metadata: createMetadata(values),
    tensors,
    tensor: async (name) => read(name),
    async rows(name, first, count) {
      const columns = tensors.get(name)?.shape.at(-1) ?? 0;
      return read(name).slice(first * columns, (first + count) * columns);
    },
    async lowBitRows(name, _first, count) {
      const { type = "", shape = [] } = tensors.get(name) ?? {};
      const { elements, bytes } = blockLayout(type);
      return splitLowBits(type, new Uint8Array(((count * (shape.at(-1) ?? 0)) / elements) * bytes));
    },
  };
}

function blockShapes(layer: number): (readonly [string, readonly number[]])[] {
  const shapes: Record<string, readonly number[]> = {
    attn_norm: [WIDTH],
    attn_q: [WIDTH, WIDTH],
    attn_k: [WIDTH / 2, WIDTH],
    attn_v: [WIDTH / 2, WIDTH],
    attn_output: [WIDTH, WIDTH],
    ffn_norm: [WIDTH],
    ffn_gate: [INNER, WIDTH],
    ffn_up: [INNER, WIDTH],
    ffn_down: [WIDTH, INNER],
  };
  return Object.entries(shapes).map(([part, shape]) => [`blk.${layer}.${part}.weight`, shape] as const);
}
