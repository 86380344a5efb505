import type { Progress } from "../ports/progress.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";

/**
 * Every token of a member, spelled in the anchor's tokens. In the order of their spellings, so that all tokens whose
 * spellings begin alike are neighbours.
 */
export interface Spellings {
  /** Token ids of the member (n), by spelling. */
  readonly tokens: Int32Array;
  /** Spelling i is `spelled[starts[i]] … spelled[starts[i + 1] − 1]` (n + 1). */
  readonly starts: Int32Array;
  readonly spelled: Int32Array;
}

/** A run of neighbours: places from `first` to before `end`. */
export interface SpellingRange {
  readonly first: number;
  readonly end: number;
}

/** Tokens between two signs of life. */
const PROGRESS_STEP = 4096;

/**
 * Spells a member's vocabulary. Special tokens and pieces of characters have no spelling. Cost: one encoding a token,
 * 10 s for 262,144 of them.
 */
export function spellVocabulary(member: Tokenizer, anchor: Tokenizer, progress: Progress): Spellings {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const found: { token: number; ids: Int32Array }[] = [];
  for (let token = 0; token < member.vocabularySize; token++) {
    if (token % PROGRESS_STEP === 0) progress.update(token);
    if (member.specialTokens.has(token)) continue;
    const text = decoder.decode(member.bytes(token));
    if (text.includes("\uFFFD")) continue;
    const { ids } = anchor.encode(text);
    if (ids.length > 0) found.push({ token, ids });
  }
  found.sort((a, b) => compare(a.ids, b.ids) || a.token - b.token);
  const starts = new Int32Array(found.length + 1);
  for (const [i, { ids }] of found.entries()) starts[i + 1] = (starts[i] ?? 0) + ids.length;
  const spelled = new Int32Array(starts.at(-1) ?? 0);
  for (const [i, { ids }] of found.entries()) spelled.set(ids, starts[i]);
  return { tokens: Int32Array.from(found, ({ token }) => token), starts, spelled };
}

/** The spelling at place i. */
export function spellingAt({ starts, spelled }: Spellings, i: number): Int32Array {
  return spelled.subarray(starts[i], starts[i + 1]);
}

/** Where the spellings stand that begin with `beginning`; the ones that are no longer than it come first. */
export function spellingsFrom(spellings: Spellings, beginning: ArrayLike<number>): SpellingRange {
  const first = lowest(spellings, (spelling) => compareBeginning(spelling, beginning) >= 0);
  const end = lowest(spellings, (spelling) => compareBeginning(spelling, beginning) > 0);
  return { first, end };
}

/** The lowest place from which on `holds`, by bisection. */
function lowest(spellings: Spellings, holds: (spelling: Int32Array) => boolean): number {
  let low = 0;
  let high = spellings.tokens.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(spellingAt(spellings, middle))) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Below 0 where `spelling` stands before all that begin with `beginning`, 0 where it is one of them. */
function compareBeginning(spelling: Int32Array, beginning: ArrayLike<number>): number {
  return compare(spelling.subarray(0, beginning.length), beginning);
}

/** Lexicographic; a beginning of the other comes first. */
function compare(a: Int32Array, b: ArrayLike<number>): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0);
  }
  return a.length - b.length;
}
