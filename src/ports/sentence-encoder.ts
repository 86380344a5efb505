import type { ModelInfo } from "./language-model.ts";

export interface EncodeOptions {
  /** Layers, from 0 to L, whose states to pool; at least one. */
  readonly layers: readonly number[];
  readonly signal?: AbortSignal | undefined;
  /** Told when a part of the texts has been read: a sign of life. */
  readonly onProgress?: (() => void) | undefined;
}

/** Pooled states of n texts. */
export interface SentenceStates {
  /** Each asked layer's, row-major (n, d). Neither centred nor normalised. */
  readonly layers: ReadonlyMap<number, Float32Array>;
  /** Tokens read of each text (n), without those that the model puts around it. */
  readonly tokens: Int32Array;
}

/**
 * A model that gives each text one vector per layer, pooled over its tokens as is right for the model: a causal model's
 * mean without the first position, an encoder's own pooling (with its prefix, where it was trained with one).
 */
export interface SentenceEncoder {
  /** Layers run from 0 (embeddings) to L; the fitted sentence space belongs to exactly these weights. */
  readonly info: ModelInfo;
  /**
   * @throws RangeError for no layers or one that the model has not, or for a text without tokens
   * @throws GatewayError context_length_exceeded when a text does not fit; cancelled | members_lost
   */
  encode(texts: readonly string[], options: EncodeOptions): Promise<SentenceStates>;
}
