import { lru } from "tiny-lru";
import { logSumExp } from "../stats/distributions.ts";
import { spellingAt, spellingsFrom, type Spellings } from "./spellings.ts";

/*
 * A member that follows the anchor's tokens has read " Ge" where its own next token may have been " Geschichte": its
 * state after " Ge" says how texts go on in which that was a token of its own, which is another question. What the
 * anchor's tokens really tell is that the member's token begins with them. With h⁻ the member's state before its last
 * token, a the anchor's tokens that this token spells, and G(a) all its tokens whose spellings in the anchor's tokens
 * begin with a:
 *
 *   π_g = exp(u_g·h⁻) / Σ_{g' ∈ G(a)} exp(u_g'·h⁻)
 *   q(s) = Σ_{g ∈ G(a s)} π_g + p(s) · Σ_{g spelled a} π_g
 *
 * where p is the distribution after its last token. The anchor's tokens are canonical, so a token that the anchor would
 * have spelled in another way is not among them. After Phan et al. 2024 (arXiv 2410.09303), who do it for bytes.
 */

/** A member's last token, where the anchor's tokens spell it out. */
export interface UnfinishedToken {
  /** h⁻ (d): the member's final state before that token. */
  readonly before: Float32Array;
  /** a: the anchor's tokens with its text. */
  readonly spelled: readonly number[];
}

/** How an unfinished token goes on. */
export interface Continuation {
  /** ln Σ_{g spelled a} π_g: that the token is over. */
  readonly ended: number;
  /** The anchor's tokens s with which it may go on (n), none twice. */
  readonly tokens: Int32Array;
  /** Σ_{g ∈ G(a s)} π_g of each (n). */
  readonly shares: Float64Array;
}

export interface TokenContinuations {
  /** Null where no longer token begins like this one, or where too many do. */
  after(unfinished: UnfinishedToken): Promise<Continuation | null>;
}

export interface ContinuationOptions {
  readonly spellings: Spellings;
  /** Rows u_g of the member's output head (n), row-major (n, d). */
  readonly rows: (tokens: Int32Array) => Promise<Float32Array>;
}

/** A blank or a line feed begins thousands of tokens: then nothing is asked, and the token counts as over. */
const MOST_TOKENS = 512;
/** Beginnings whose rows are kept, because texts repeat their words: of few rows more than of many, 63 MB at d = 640 at most. */
const KEPT = { few: { rows: 32, tables: 512 }, many: { tables: 16 } } as const;

export function createTokenContinuations({ spellings, rows }: ContinuationOptions): TokenContinuations {
  const [few, many] = [KEPT.few, KEPT.many].map((kept) => lru<Promise<Float32Array>>(kept.tables));
  function tableOf(first: number, end: number): Promise<Float32Array> {
    const tables = (end - first <= KEPT.few.rows ? few : many)!;
    const key = `${first} ${end}`;
    const there = tables.get(key);
    if (there !== undefined) return there;
    const table = rows(spellings.tokens.subarray(first, end));
    tables.set(key, table);
    table.catch(() => tables.delete(key));
    return table;
  }

  return {
    async after({ before, spelled }) {
      const { first, end } = spellingsFrom(spellings, spelled);
      const longest = end > first ? spellingAt(spellings, end - 1).length : 0;
      if (longest <= spelled.length || end - first > MOST_TOKENS) return null;
      const table = await tableOf(first, end);
      const logits = Float32Array.from({ length: end - first }, (_, i) => dot(table, i, before));
      const total = logSumExp(logits);
      let ended = 0;
      const next = new Map<number, number>();
      for (const [i, logit] of logits.entries()) {
        const share = Math.exp(logit - total);
        const token = spellingAt(spellings, first + i)[spelled.length];
        if (token === undefined) ended += share;
        else next.set(token, (next.get(token) ?? 0) + share);
      }
      if (ended === 0) return null;
      return {
        ended: Math.log(ended),
        tokens: Int32Array.from(next.keys()),
        shares: Float64Array.from(next.values()),
      };
    },
  };
}

/**
 * A member's log-probabilities p (V) to q, in place. A special token of the anchor stays what it is.
 * @param ordinary ln of the mass that the member's ordinary tokens share
 */
export function continueToken(
  logprobs: Float32Array,
  { ended, tokens, shares }: Continuation,
  ordinary: number,
  special: readonly number[],
): void {
  const kept = special.map((token) => logprobs[token] ?? -Infinity);
  for (let v = 0; v < logprobs.length; v++) logprobs[v]! += ended;
  for (const [i, token] of tokens.entries()) {
    const over = logprobs[token] ?? -Infinity;
    logprobs[token] = logSumExp(Float32Array.of(over, ordinary + Math.log(shares[i]!)));
  }
  for (const [i, token] of special.entries()) logprobs[token] = kept[i] ?? -Infinity;
}

function dot(table: Float32Array, row: number, state: Float32Array): number {
  let sum = 0;
  for (let j = 0, at = row * state.length; j < state.length; j++, at++) sum += table[at]! * state[j]!;
  return sum;
}
