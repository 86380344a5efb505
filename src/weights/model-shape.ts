import type { WeightFile } from "./gguf.ts";

/** The sizes that decide a decoder's graph, as the weight file states them. */
export interface ModelShape {
  /** Architecture as GGUF names it. */
  readonly family: string;
  /** L. */
  readonly layers: number;
  /** d: width of the residual stream. */
  readonly width: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads; each serves heads / kvHeads query heads. */
  readonly kvHeads: number;
  readonly headSize: number;
  /** ε of the root mean square norms. */
  readonly epsilon: number;
  /** Base of the rotary angles. */
  readonly ropeBase: number;
  /** Tokens that a query of a windowed layer sees, itself included; null when no layer has a window. */
  readonly window: number | null;
  /** Positions that the graph has rotary angles for. */
  readonly contextLength: number;
  /** V: rows of the embedding. */
  readonly vocabularySize: number;
}

/** Every sixth layer of Gemma 3 sees the whole context, the five before it a window. Not in the weight file; its report (2025), section 2. */
const LAYERS_PER_GLOBAL = 6;

/** Tokens that a query of this layer sees, itself included; null when it sees all before it. */
export function windowOf({ family, window }: ModelShape, layer: number): number | null {
  return family === "gemma3" && (layer + 1) % LAYERS_PER_GLOBAL !== 0 ? window : null;
}

export function hasWindows(shape: ModelShape): boolean {
  return Array.from({ length: shape.layers }, (_, layer) => windowOf(shape, layer)).some(
    (window) => window !== null,
  );
}

/** Longer contexts than this are cut: the cache of one sequence would take gigabytes. */
export const MAX_CONTEXT_LENGTH = 8192;

/**
 * Reads a model's sizes from its weight file.
 * @throws Error when the file asks for something that the graph would not compute
 */
export function readModelShape(weights: WeightFile): ModelShape {
  const { metadata, tensors } = weights;
  const family = metadata.string("general.architecture");
  const number = (key: string) => metadata.number(`${family}.${key}`);
  const numberOr = (key: string, fallback: number) => metadata.numberOr(`${family}.${key}`, fallback);

  const width = number("embedding_length");
  const heads = number("attention.head_count");
  const headSize = numberOr("attention.key_length", width / heads);
  expectEqual("rope.dimension_count", numberOr("rope.dimension_count", headSize), headSize);
  expectEqual("attention.value_length", numberOr("attention.value_length", headSize), headSize);
  if (
    metadata.has(`${family}.rope.scaling.type`) &&
    metadata.string(`${family}.rope.scaling.type`) !== "none"
  ) {
    throw new Error(
      `${family}.rope.scaling.type: expected none, got a scaled rotary embedding, which is not supported`,
    );
  }

  const embedding = tensors.get("token_embd.weight");
  const [vocabularySize = 0, columns] = embedding?.shape ?? [];
  expectEqual("columns of token_embd.weight", columns, width);

  return {
    family,
    layers: number("block_count"),
    width,
    heads,
    kvHeads: numberOr("attention.head_count_kv", heads),
    headSize,
    epsilon: number("attention.layer_norm_rms_epsilon"),
    // GGUF leaves the base out when it is the original one.
    ropeBase: numberOr("rope.freq_base", 10_000),
    window: metadata.has(`${family}.attention.sliding_window`) ? number("attention.sliding_window") : null,
    contextLength: Math.min(number("context_length"), MAX_CONTEXT_LENGTH),
    vocabularySize,
  };
}

function expectEqual(name: string, actual: number | undefined, expected: number): void {
  if (actual !== expected) throw new Error(`weight file: expected ${name} to be ${expected}, got ${actual}`);
}
