import { UNREAD, type OwnTokens } from "../alignment/shared-space.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { TokenContinuations } from "./unfinished-token.ts";
import { mapToAnchor, mapVocabulary } from "./vocabulary-map.ts";

/** A member, with what is read of its weights besides running it. */
export interface FitMember {
  readonly model: LanguageModel;
  /** Rows of the output head for `tokens` (n), row-major (n, d): logit = row · final state. Token -1 has a row of zeros. */
  outputRows(tokens: Int32Array): Promise<Float32Array>;
  /** How its tokens may go on in the anchor's; null for the anchor. */
  readonly continuations: TokenContinuations | null;
}

/** What the decoder's rows are to one member. */
export interface MemberRows {
  /** The member's token with the row's text (R); -1 for none. */
  readonly tokens: Int32Array;
  /** U (R, d), row-major: its output head's rows for these tokens; zeros for none. */
  readonly rows: Float32Array;
  /** b (R): 0, or UNREAD where it has no token. */
  readonly offset: Float32Array;
  readonly own: OwnTokens;
}

/**
 * The rows of every member: one for each of the anchor's tokens, then one for each of the followers' own. Holds R · Σd floats.
 * @param ownIds of each follower, tokens that are to have a row of their own (m − 1); those that have one already are left out
 */
export async function decoderRows(
  members: readonly [FitMember, ...FitMember[]],
  ownIds: readonly Int32Array[],
): Promise<MemberRows[]> {
  const [anchor, ...followers] = members;
  const size = anchor.model.tokenizer.vocabularySize;
  const relations = followers.map(({ model }, f) =>
    relate(anchor.model, model, ownIds[f] ?? new Int32Array(0)),
  );
  const all = relations.reduce((sum, { ids }) => sum + ids.length, size);
  let next = size;
  const first = { tokens: Int32Array.from({ length: size }, (_, token) => token), ids: EMPTY, begins: EMPTY };
  const placed = [{ ...first, hosts: new Int32Array(size).fill(-1) }, ...relations].map((relation) => {
    const tokens = new Int32Array(all).fill(-1);
    tokens.set(relation.tokens);
    tokens.set(relation.ids, next);
    const { ids, begins, hosts } = relation;
    const own: OwnTokens = { ids, begins, firstRow: next, hosts };
    next += ids.length;
    return { tokens, own };
  });
  return Promise.all(
    placed.map(async ({ tokens, own }, m): Promise<MemberRows> => ({
      tokens,
      rows: (await members[m]?.outputRows(tokens)) ?? new Float32Array(0),
      offset: Float32Array.from(tokens, (token) => (token < 0 ? UNREAD : 0)),
      own,
    })),
  );
}

const EMPTY = new Int32Array(0);

/** A follower's tokens for the anchor's (V), and its own. */
interface Relation extends Pick<OwnTokens, "ids" | "begins" | "hosts"> {
  readonly tokens: Int32Array;
}

function relate(anchor: LanguageModel, follower: LanguageModel, wanted: Int32Array): Relation {
  const { tokens: pieces, exact } = mapVocabulary(anchor.tokenizer, follower.tokenizer);
  const tokens = pieces.map((piece, token) => (exact[token] ? piece : -1));
  const taken = new Set(tokens);
  const begun = mapToAnchor(follower.tokenizer, anchor.tokenizer, wanted);
  const order = Array.from(wanted.keys())
    .filter((i) => !taken.has(wanted[i] ?? -1) && (begun[i] ?? -1) >= 0)
    .sort((a, b) => (begun[a] ?? 0) - (begun[b] ?? 0));
  const begins = Int32Array.from(order, (i) => begun[i] ?? 0);
  const spoken = new Set([...tokens.keys()].filter((token) => (tokens[token] ?? -1) >= 0).concat(...begins));
  const hosting = mapToAnchor(
    follower.tokenizer,
    anchor.tokenizer,
    pieces.map((piece, token) => (exact[token] ? -1 : piece)),
  );
  const hosts = hosting.map((host, token) => (!spoken.has(token) && spoken.has(host) ? host : -1));
  return { tokens, ids: Int32Array.from(order, (i) => wanted[i] ?? 0), begins, hosts };
}
