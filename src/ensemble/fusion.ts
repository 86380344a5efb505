import type { TextKind } from "../alignment/shared-space.ts";
import type { Comparison } from "../stats/distributions.ts";
import type { Continuation } from "./unfinished-token.ts";

/** The members' states at one position, all of them there. */
export interface FusedPosition {
  readonly kind: TextKind;
  /** h_m (d_m), in the order of the ensemble's members. */
  readonly states: readonly Float32Array[];
  /** How each member's last token may go on (m); null where it is over. */
  readonly continued: readonly (Continuation | null)[];
}

/** What the members say there, and the answer. */
export interface FusedWords {
  /** The answer's log-probabilities (V), nats. */
  readonly logprobs: Float32Array;
  /** Each member's (m, each V). */
  readonly members: readonly Float32Array[];
  /** z_m (m, each k). */
  readonly projected: readonly Float32Array[];
  readonly comparison: Comparison;
  /** Of the answer, nats. */
  readonly entropy: number;
  /** π: each member's share and, last, the pool's (m + 1). */
  readonly shares: readonly number[];
  /** The most likely token of each member and, last, of the answer (m + 1). */
  readonly tops: readonly number[];
}

/** Everything from the members' states to the answer's distribution in one go. Positions of several answers may share it. */
export interface Fusion {
  /**
   * @param done words that nobody will look at any more: their memory may be written over
   * @throws GatewayError members_lost
   */
  fuse(
    positions: readonly FusedPosition[],
    signal?: AbortSignal,
    done?: readonly FusedWords[],
  ): Promise<FusedWords[]>;
}
