import type { ModelInfo } from "./language-model.ts";
import type { EncodeOptions, SentenceStates } from "./sentence-encoder.ts";

/** Where in its layers a member's states are taken for the shared space. */
export type SpaceDepth = "middle" | "deep";

export interface SharedOptions {
  /** Some of the encoders' `depths`, read in one pass. Default: the first of them. */
  readonly depths?: readonly SpaceDepth[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Texts in the space that all members' sentence states share. */
export interface SharedStates {
  /** r. */
  readonly dimension: number;
  /** By depth, row-major (n, r), centred on the text the space was fitted on; not normalised to a length. */
  readonly states: ReadonlyMap<SpaceDepth, Float32Array>;
  /** Tokens read of each text (n). */
  readonly tokens: Int32Array;
}

/**
 * Every model that gives texts vectors, language models and sentence encoders alike, and the space they share: states
 * of one text by two members lie near each other there. A model is fetched and started when it is first asked.
 */
export interface SentenceEncoders {
  /** Names of the models, language models first. */
  readonly ids: readonly string[];
  /** Those of them that have a map into the shared space; the others only have states of their own. */
  readonly sharedIds: readonly string[];
  /** Identity of the shared space: states of another one mean something else. */
  readonly space: string;
  /** Depths that the shared space has maps for, the best for one space alone first. */
  readonly depths: readonly SpaceDepth[];
  /** What a model is, starting it where needed. @throws GatewayError unknown_model | members_lost */
  info(id: string): Promise<ModelInfo>;
  /**
   * A model's own states.
   * @throws RangeError as `SentenceEncoder.encode`
   * @throws GatewayError unknown_model | context_length_exceeded | cancelled | members_lost
   */
  encode(id: string, texts: readonly string[], options: EncodeOptions): Promise<SentenceStates>;
  /**
   * A model's states in the shared space.
   * @throws RangeError for a depth that the space has not, or a text without tokens
   * @throws GatewayError unknown_model (or one without a map) | context_length_exceeded | cancelled | members_lost
   */
  shared(id: string, texts: readonly string[], options?: SharedOptions): Promise<SharedStates>;
}
