import type { SharedSpace } from "../alignment/shared-space.ts";
import type { Decoder, LanguageModel } from "../ports/language-model.ts";
import type { Route } from "./route.ts";
import type { TokenContinuations } from "./unfinished-token.ts";

/** Members that share a space. The first is the anchor: the answer is made of its tokens. */
export interface Ensemble {
  readonly members: readonly [LanguageModel, ...LanguageModel[]];
  /** `space.members` stand in the order of `members`. */
  readonly space: SharedSpace;
  /** Shared states (k) to logits over the anchor's vocabulary, without the members' token biases. */
  readonly decoder: Decoder;
  /** How each member's tokens may go on (m); null for the anchor. */
  readonly continuations: readonly (TokenContinuations | null)[];
  /** When one follower answers a plain text alone; none: always fused. */
  readonly routes: readonly Route[];
}
