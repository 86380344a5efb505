import type { LanguageModel } from "../ports/language-model.ts";
import type { TokenContinuations } from "./unfinished-token.ts";
import { mapVocabulary } from "./vocabulary-map.ts";

/** A member, with what is read of its weights besides running it. */
export interface FitMember {
  readonly model: LanguageModel;
  /** Rows of the output head for `tokens` (n), row-major (n, d): logit = row · final state. Token -1 has a row of zeros. */
  outputRows(tokens: Int32Array): Promise<Float32Array>;
  /** How its tokens may go on in the anchor's; null for the anchor. */
  readonly continuations: TokenContinuations | null;
}

/** A member's output head, read as a head over the anchor's vocabulary. */
export interface AnchorRows {
  /** U (V, d), row-major: for each of the anchor's tokens the member's row for the same text, or for its beginning. */
  readonly rows: Float32Array;
  /** The member's token whose row it is (V); -1 for none: a row of zeros. */
  readonly tokens: Int32Array;
  /** 1 where the row stands for the beginning of the token's text only (V). */
  readonly partial: Uint8Array;
}

/** One table per member; the anchor's is its own head. Holds V · Σd floats. */
export async function anchorRows(members: readonly [FitMember, ...FitMember[]]): Promise<AnchorRows[]> {
  const anchor = members[0].model.tokenizer;
  return Promise.all(
    members.map(async (member, m) => {
      if (m === 0) {
        const tokens = Int32Array.from({ length: anchor.vocabularySize }, (_, token) => token);
        return { rows: await member.outputRows(tokens), tokens, partial: new Uint8Array(tokens.length) };
      }
      const { tokens, exact } = mapVocabulary(anchor, member.model.tokenizer);
      const partial = exact.map((is, token) => (is === 0 && (tokens[token] ?? -1) >= 0 ? 1 : 0));
      return { rows: await member.outputRows(tokens), tokens, partial };
    }),
  );
}
