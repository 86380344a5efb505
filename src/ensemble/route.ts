import type { Prompt } from "../ports/engine.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";

/** When the ensemble leaves a plain text to one follower. */
export interface Route {
  /** The follower's id. */
  readonly member: string;
  /** τ: the relative fertility from which on it answers alone. */
  readonly ratio: number;
  /** How many of the texts that the limit was found on it answers, as a share: (n + 1) / (all + 2). */
  readonly share: number;
}

/** What routing needs of an ensemble. */
export interface Routed {
  /** The anchor first. */
  readonly members: readonly [LanguageModel, ...LanguageModel[]];
  readonly routes: readonly Route[];
}

/** A follower that answers alone, and why. */
export interface RouteTaken {
  readonly member: string;
  readonly reason: string;
}

/** c: so that a few tokens more or less of a short text decide nothing. */
const ADDED_TOKENS = 8;

/**
 * r = (a + c) / (f + c): how many times the tokens of the follower (f) the anchor (a) needs for a text, c = 8. It is
 * near 1 where both vocabularies know the language; where the anchor's has only pieces of words it is well above.
 */
export function relativeFertility(anchor: Tokenizer, follower: Tokenizer, text: string): number {
  const [a, f] = [anchor, follower].map((tokenizer) => tokenizer.encode(text).ids.length + ADDED_TOKENS);
  return (a ?? NaN) / (f ?? NaN);
}

/**
 * The follower that answers a prompt alone, in its own vocabulary; null where the answer is fused. Of the followers with
 * r >= τ it is the one with the largest r/τ. It is decided once, on the prompt's text as a whole. Token ids are the
 * anchor's, so they are always fused. So are chats: limits are fitted on plain text alone, and a follower may be a base
 * model, which continues a transcript where the anchor was taught to answer.
 */
export function routeOf({ members, routes }: Routed, prompt: Prompt): RouteTaken | null {
  if (prompt.kind !== "text") return null;
  const [anchor, ...followers] = members;
  const [taken] = routes
    .flatMap(({ member, ratio }) => {
      const follower = followers.find(({ info }) => info.id === member);
      if (follower === undefined) return [];
      return { member, ratio, r: relativeFertility(anchor.tokenizer, follower.tokenizer, prompt.text) };
    })
    .filter(({ r, ratio }) => r >= ratio)
    .sort((a, b) => b.r / b.ratio - a.r / a.ratio);
  if (taken === undefined) return null;
  const { member, r, ratio } = taken;
  return {
    member,
    reason:
      `${anchor.info.id} needs ${r.toFixed(2)} times the tokens that ${member} needs for this text ` +
      `(${ADDED_TOKENS} added to both counts); from ${ratio.toFixed(2)} on that member answers alone`,
  };
}

/**
 * What it costs to say who answers a text, nats: −ln of its share of the texts that the limits were found on. The
 * decision looks at the whole text, so a code for the text that follows it begins with its outcome (a two-part code,
 * Rissanen 1978). Nothing without routes.
 * @param member who answers alone; null for the fused answer
 */
export function decisionNats(routes: readonly Route[], member: string | null): number {
  const alone = routes.reduce((sum, { share }) => sum + share, 0);
  const own = routes.find((route) => route.member === member)?.share ?? 1 - alone;
  return own === 1 ? 0 : -Math.log(own);
}
