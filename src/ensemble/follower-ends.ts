import { GatewayError } from "../ports/gateway-error.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { logSumExp } from "../stats/distributions.ts";
import type { Ensemble } from "./ensemble.ts";
import type { SpecialMass } from "./follower-distribution.ts";
import type { MemberState } from "./state-reading.ts";

/**
 * How likely the text ends here, where the anchor is lost and cannot say: the followers' word on their own end tokens,
 * by their own heads, under the mean weights of those that have a state,
 *
 *   p(end) = Σ_f w_f Σ_{e ends f} exp(l_f(e)) / Σ_u exp(l_f(u)),
 *
 * given to the anchor's first end token; its other special tokens have none. A follower may end texts where the anchor
 * would have ended a turn, and the other way round: such answers are marked. Costs one row of each follower's head. One
 * that is lost over it counts as never ending; the next position is without it.
 */
export async function followerEnds(
  { members, space }: Ensemble,
  states: readonly MemberState[],
  special: readonly number[],
  signal?: AbortSignal,
): Promise<SpecialMass> {
  const [end] = members[0].tokenizer.endTokens;
  const present = states.flatMap((state, m) => {
    const member = members[m];
    const weight = space.members[m]?.weight ?? 0;
    return member && "state" in state ? [{ member, weight, state: state.state }] : [];
  });
  const total = present.reduce((sum, { weight }) => sum + weight, 0);
  const shares = await Promise.all(
    present.map(async ({ member, weight, state }) => {
      const share = total > 0 ? weight / total : 1 / present.length;
      return share === 0 ? 0 : share * (await endProbability(member, state, signal));
    }),
  );
  const mass = shares.reduce((sum, share) => sum + share, 0);
  return {
    logprobs: special.map((token) => (token === end ? Math.log(mass) : -Infinity)),
    ordinary: Math.log(Math.max(1 - mass, Number.MIN_VALUE)),
  };
}

async function endProbability(
  { head, tokenizer }: LanguageModel,
  state: Float32Array,
  signal?: AbortSignal,
): Promise<number> {
  try {
    const logits = await head.decode(state.slice(), signal);
    const total = logSumExp(logits);
    return tokenizer.endTokens.reduce(
      (sum, token) => sum + Math.exp((logits[token] ?? -Infinity) - total),
      0,
    );
  } catch (error) {
    if (error instanceof GatewayError && error.code === "members_lost") return 0;
    throw error;
  }
}
