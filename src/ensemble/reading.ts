import type { MemberLoss } from "../ports/engine.ts";
import type { Comparison } from "../stats/distributions.ts";
import type { ReadPrompt } from "./prompt.ts";
import type { Stage } from "./stages.ts";

/** What one member says about the next token, in the answering vocabulary. */
export interface MemberPrediction {
  /** Log-probabilities (V), nats; null where the member could not read up to this position. */
  readonly logprobs: Float32Array | null;
  /** Why there are none; null when there are. */
  readonly reason: string | null;
  /** Its share in the fused state here; 0 where it abstains. */
  readonly weight: number;
  /** Projected state (k); null for an abstention, and outside a shared space. */
  readonly state: Float32Array | null;
}

/** The next-token distribution after what has been read. */
export interface Prediction {
  /** Log-probabilities (V), nats, of the answering distribution. */
  readonly logprobs: Float32Array;
  /** In the order of `Reader.members`. */
  readonly members: readonly MemberPrediction[];
  /** How far the members that are there differ, and the entropy of each; null where only one is. */
  readonly comparison: Comparison | null;
  /** Of the distributions above, where they are known already. */
  readonly known?: {
    /** Of the answering one, nats. */
    readonly entropy: number;
    /** The most likely token of each member and, last, of the answering distribution (m + 1). */
    readonly tops: readonly number[];
  };
}

/** One prompt, read by whoever answers it. Calls must not overlap. */
export interface Reading {
  readonly prompt: ReadPrompt;
  /** The predictions of the prompt's scored tokens, in turn. Once, and only before the first `next`. */
  score(signal?: AbortSignal): AsyncIterable<Prediction>;
  /** The prediction after everything read so far. Its numbers are written over by the next. */
  next(signal?: AbortSignal): Promise<Prediction>;
  /** Adds a token of the answer. */
  accept(token: number): void;
  /** Of the prompt's tokens, those that had been read before for another text. */
  readonly reused: number;
  /** Time each member has computed so far, milliseconds. */
  readonly latenciesMs: readonly number[];
  /** Each member's loss (m); null while it is there. */
  readonly losses: readonly (MemberLoss | null)[];
  /** How long each part of the work took so far. */
  readonly stages: readonly Stage[];
  close(): void;
}
