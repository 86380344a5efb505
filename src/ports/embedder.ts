import type { ModelCard } from "./engine.ts";

export interface EmbedRequest {
  /** The name of one of `models()`. */
  readonly model: string;
  /** n texts, none of them empty. */
  readonly texts: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

export interface Embeddings {
  /** Numbers in a vector. */
  readonly dimension: number;
  /** Row-major (n, dimension), every row of length 1. */
  readonly vectors: Float32Array;
  /** Tokens read over all texts; where several members read them, the sum over the members. */
  readonly tokens: number;
}

/** What the gateway asks for vectors of texts. */
export interface Embedder {
  /** Every name an embeddings request's `model` may have, the fused one first. */
  models(): readonly ModelCard[];
  /**
   * Vectors whose inner product is the texts' similarity.
   * @throws GatewayError unknown_model | invalid_request (a text without tokens) | context_length_exceeded | cancelled |
   *   members_lost
   */
  embed(request: EmbedRequest): Promise<Embeddings>;
}
