import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import { softmax } from "../stats/distributions.ts";
import { positionsByTurns, statesOf, type TurnsOptions } from "./positions-by-turns.ts";
import { mostLikely } from "./sparse-distribution.ts";
import { rowsOf } from "./token-reader.ts";
import { mapVocabulary } from "./vocabulary-map.ts";

export interface OwnTokenOptions extends TurnsOptions {
  /** Tokens of each follower, at most. */
  readonly count: number;
  readonly progress: Progress;
}

/** Positions decoded at once: 17 MB of logits at a vocabulary of 262,144. */
const DECODED_AT_ONCE = 16;

/** A follower's tokens that the anchor has not, and how much it expects of them. */
export interface TokenUsage {
  /** Most expected first (x). */
  readonly ids: Int32Array;
  /** Mean probability at a position (x). */
  readonly probabilities: Float32Array;
}

/**
 * Which of each follower's tokens deserve a row in the decoder: those that the anchor spells with several and that the
 * follower expects most, by its own head's probabilities in the mean over some positions (m − 1).
 */
export async function chooseOwnTokens(options: OwnTokenOptions): Promise<TokenUsage[]> {
  const { members, count, most, progress } = options;
  const [anchor, ...followers] = members;
  const usage = followers.map(({ head }) => new Float64Array(head.vocabularySize));
  progress.stage("finding the followers' own tokens", most, "tokens");
  let seen = 0;
  for await (const positions of positionsByTurns(options)) {
    for (let first = 0; first < positions.length; first += DECODED_AT_ONCE) {
      const some = positions.slice(first, first + DECODED_AT_ONCE);
      for (const [f, { head }] of followers.entries()) {
        const logits = await head.decode(statesOf(some, f + 1));
        for (const row of rowsOf(logits, some.length, head.vocabularySize)) addProbabilities(usage[f]!, row);
      }
      progress.update((seen += some.length));
    }
  }
  progress.finish();
  return followers.map((follower, f) => mostUsed(anchor, follower, usage[f]!, count, seen));
}

function addProbabilities(sums: Float64Array, logits: Float32Array): void {
  softmax(logits);
  for (let t = 0; t < logits.length; t++) sums[t]! += logits[t]!;
}

function mostUsed(
  anchor: LanguageModel,
  follower: LanguageModel,
  sums: Float64Array,
  count: number,
  positions: number,
): TokenUsage {
  const { tokens, exact } = mapVocabulary(anchor.tokenizer, follower.tokenizer);
  for (const [token, own] of tokens.entries()) if (exact[token]) sums[own] = 0;
  for (const special of follower.tokenizer.specialTokens) sums[special] = 0;
  const expected = sums.filter((sum) => sum > 0).length;
  const { tokens: ids, probabilities } = mostLikely(
    Float32Array.from(sums, (sum) => sum / Math.max(1, positions)),
    Math.min(count, expected),
  );
  return { ids, probabilities };
}
