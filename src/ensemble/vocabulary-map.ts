import type { Tokenizer } from "../ports/tokenizer.ts";

/** For every token of the anchor, the token by which another member would begin the same text. */
export interface VocabularyMap {
  /** Member token ids (V); -1 where the member has none: special tokens. */
  readonly tokens: Int32Array;
  /** 1 where the member's token is the whole text, 0 where it is only its beginning (V). */
  readonly exact: Uint8Array;
}

/**
 * Maps by bytes: the member's token with the same bytes if there is one, the one its own encoding would use if there
 * are several (a character's token and its byte token); else the first token of its canonical encoding of the text;
 * else, for a piece of a character, its token for the first byte.
 */
export function mapVocabulary(anchor: Tokenizer, member: Tokenizer): VocabularyMap {
  const byBytes = tokensByBytes(member);
  const tokens = new Int32Array(anchor.vocabularySize).fill(-1);
  const exact = new Uint8Array(anchor.vocabularySize);
  for (let token = 0; token < anchor.vocabularySize; token++) {
    if (anchor.specialTokens.has(token)) continue;
    const bytes = anchor.bytes(token);
    const same = byBytes.get(key(bytes)) ?? [];
    const canonical = same.length === 1 ? same[0] : firstToken(member, bytes);
    exact[token] = same.length > 0 ? 1 : 0;
    tokens[token] = canonical ?? same[0] ?? byBytes.get(key(bytes.subarray(0, 1)))?.[0] ?? -1;
  }
  return { tokens, exact };
}

/**
 * For each of a member's tokens the one with which the anchor would begin the same text (n): -1 for the special ones and for
 * -1. The member's probability of an anchor token's text is the sum over all its tokens that begin with it.
 */
export function mapToAnchor(member: Tokenizer, anchor: Tokenizer, tokens: Int32Array): Int32Array {
  const byBytes = new Map<string, number>();
  for (let token = 0; token < anchor.vocabularySize; token++) {
    if (!anchor.specialTokens.has(token)) byBytes.set(key(anchor.bytes(token)), token);
  }
  return tokens.map((token) => {
    if (token < 0 || member.specialTokens.has(token)) return -1;
    const bytes = member.bytes(token);
    const same = byBytes.get(key(bytes));
    if (same !== undefined) return same;
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    const first = text.includes("\uFFFD") ? undefined : anchor.encode(text).ids[0];
    return first ?? byBytes.get(key(bytes.subarray(0, 1))) ?? -1;
  });
}

/** Every token of a vocabulary (V). */
export function allTokens({ vocabularySize }: Tokenizer): Int32Array {
  return Int32Array.from({ length: vocabularySize }, (_, token) => token);
}

function tokensByBytes({ vocabularySize, specialTokens, bytes }: Tokenizer): Map<string, number[]> {
  const byBytes = new Map<string, number[]>();
  for (let token = 0; token < vocabularySize; token++) {
    if (specialTokens.has(token)) continue;
    const text = key(bytes(token));
    const same = byBytes.get(text);
    if (same) same.push(token);
    else byBytes.set(text, [token]);
  }
  return byBytes;
}

/** Bytes as a string of the same length, to be a key. */
function key(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function firstToken(member: Tokenizer, bytes: Uint8Array): number | undefined {
  try {
    return member.encode(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)).ids[0];
  } catch (error) {
    if (error instanceof TypeError) return undefined; // a piece of a character is no UTF-8
    throw error;
  }
}
