import type { Tokenizer } from "./tokenizer.ts";

/** What identifies a model: a fitted map belongs to exactly these weights. */
export interface ModelInfo {
  /** The name in the API and in the manifest: `smollm2-135m-instruct`. */
  readonly id: string;
  /** Architecture as GGUF names it: `llama`, `gemma3`. */
  readonly family: string;
  /** d: width of the residual stream. */
  readonly width: number;
  /** L: number of blocks; taps run from 0 (embeddings) to L (before the final norm). */
  readonly layers: number;
  /** The most tokens one sequence holds, document start included. */
  readonly contextLength: number;
  /** sha256 of the weight file, hex. */
  readonly weightsHash: string;
}

export interface AppendOptions {
  /** How many of the appended tokens' states to return, counted from the last. Default 1. */
  readonly rows?: number;
  /** Layers, from 0 to L, whose residual stream to return beside the final state. */
  readonly taps?: readonly number[];
  readonly signal?: AbortSignal | undefined;
  /** Called when a part of many tokens has been read and the rest goes on: a sign of life. */
  readonly onProgress?: (() => void) | undefined;
}

export interface HiddenStates {
  readonly rows: number;
  /** Of the appended tokens, those that were read for another sequence before and not computed again. Absent: none. */
  readonly reused?: number;
  /** Final states after the model's last norm, row-major (rows, d): what its output head reads. */
  readonly hidden: Float32Array;
  /** `residual.{l}` of each asked layer, row-major (rows, d). */
  readonly taps: ReadonlyMap<number, Float32Array>;
}

/** One text being read by one model: tokens and their key–value cache. Calls on one sequence must not overlap. */
export interface Sequence {
  /** Tokens read so far. */
  readonly length: number;
  /**
   * Reads `tokens` after what the sequence holds.
   * After a rejected call (abort included) the length is what it was before, and the sequence stays usable.
   * @throws GatewayError context_length_exceeded | cancelled | members_lost
   */
  append(tokens: readonly number[] | Int32Array, options?: AppendOptions): Promise<HiddenStates>;
  /** Forgets all tokens from `length` on. @throws RangeError when `length` is above the present length */
  truncate(length: number): void;
  /** Frees the cache. Further calls are refused; closing twice is fine. */
  close(): void;
}

/** Rows of states in, rows of next-token logits out. */
export interface Decoder {
  /** Width of a state: d for a member's own head, k for the shared decoder. */
  readonly width: number;
  /** V. */
  readonly vocabularySize: number;
  /** Logits, row-major (rows, V), of `states`, row-major (rows, width). @throws RangeError on a length that is no multiple of width */
  decode(states: Float32Array, signal?: AbortSignal): Promise<Float32Array>;
}

/** A member: tokens in, hidden states out. */
export interface LanguageModel {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  /** The member's own output head over its own vocabulary. */
  readonly head: Decoder;
  openSequence(): Sequence;
  close(): Promise<void>;
}
