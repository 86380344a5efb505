import type { SharedSpace } from "../alignment/shared-space.ts";
import type { Decoder, LanguageModel } from "../ports/language-model.ts";
import type { Fusion } from "./fusion.ts";
import type { Route } from "./route.ts";
import type { TokenContinuations } from "./unfinished-token.ts";

/** Members that share a space. The first is the anchor: the answer is made of its tokens. */
export interface Ensemble {
  readonly members: readonly [LanguageModel, ...LanguageModel[]];
  /** `space.members` stand in the order of `members`. */
  readonly space: SharedSpace;
  /** Shared states (k) to logits over the anchor's vocabulary, without the members' token biases. */
  readonly decoder: Decoder;
  /** The same and what follows it in one go, where all members have a state; absent: as predictor.ts does it. */
  readonly fusion?: Fusion | null | undefined;
  /** How each member's tokens may go on (m); null for the anchor. */
  readonly continuations: readonly (TokenContinuations | null)[];
  /** When one follower answers a plain text alone; none: always fused. */
  readonly routes: readonly Route[];
}
