import type { Metadata } from "./metadata.ts";
import { tokenTypes, type MergeRank, type VocabularyDefinition } from "./tokenizer-json.ts";

/** Stands for a space inside tokens. */
const SPACE = "\u2581";

/**
 * A space begins a word, and no token reaches over such a beginning but "> </" in mark-up. Cutting there leaves the
 * tokens as they are and makes words short enough for the library to remember.
 */
const BEFORE_WORD = `(?<=[^${SPACE}>])(?=${SPACE})`;

const encoder = new TextEncoder();

/**
 * SentencePiece BPE as Gemma 3 has it: spaces become U+2581, the pair whose joined token has the best score is
 * joined first, and characters without a token become byte tokens.
 * @throws Error when text would get a space in front, or when a token reaches over the beginning of a word
 */
export function defineScoredVocabulary(metadata: Metadata, types: readonly number[]): VocabularyDefinition {
  if (metadata.booleanOr("tokenizer.ggml.add_space_prefix", true)) {
    throw new Error(
      "tokenizer: expected tokenizer.ggml.add_space_prefix false with a llama vocabulary, got true; " +
        "a model with this tokenizer cannot be a member",
    );
  }
  const tokens = metadata
    .strings("tokenizer.ggml.tokens")
    .map((token, id) => (types[id] === tokenTypes.userDefined ? token.replaceAll(" ", SPACE) : token));
  checkWordBeginnings(tokens);
  return {
    tokens,
    normalizer: { type: "Replace", pattern: { String: " " }, content: SPACE },
    pre_tokenizer: {
      type: "Split",
      pattern: { Regex: BEFORE_WORD },
      behavior: "Removed",
      invert: false,
    },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
      unk_token: tokens[metadata.number("tokenizer.ggml.unknown_token_id")] ?? null,
      fuse_unk: true,
      byte_fallback: true,
    },
    mergeRank: rankByScore(tokens, metadata.numbers("tokenizer.ggml.scores"), types),
    documentStart: metadata.number("tokenizer.ggml.bos_token_id"),
    bytes(token) {
      const written = tokens[token] ?? "";
      if (types[token] !== tokenTypes.byte) return encoder.encode(written.replaceAll(SPACE, " "));
      return Uint8Array.of(Number(written.slice(1, -1)));
    },
    missingBytes: new Set(),
  };
}

/** The port promises that a text may be cut before white space. */
function checkWordBeginnings(tokens: readonly string[]): void {
  const reaching = new RegExp(`${BEFORE_WORD}|\\S[\\t\\n]`, "u");
  const broken = tokens.find((token) => reaching.test(token));
  if (broken === undefined) return;
  throw new Error(
    `tokenizer: expected white space only at the beginning of a token, got ${JSON.stringify(broken)}`,
  );
}

/**
 * The order in which Hugging Face's converter lists merges: by the joined token's score, best first, then by the
 * left token's length, longest first. User-defined tokens come before all others: SentencePiece never lets their
 * parts join anything else, and the file gives them no score of their own.
 */
function rankByScore(
  tokens: readonly string[],
  scores: readonly number[],
  types: readonly number[],
): MergeRank {
  if (scores.length !== tokens.length) {
    throw new Error(`tokenizer: expected a score for each of ${tokens.length} tokens, got ${scores.length}`);
  }
  const scoreOf = (id: number): number =>
    types[id] === tokenTypes.userDefined ? Number.MAX_VALUE : (scores[id] ?? -Number.MAX_VALUE);
  const best = [...tokens.keys()].sort((a, b) => scoreOf(b) - scoreOf(a));
  const place = new Int32Array(tokens.length);
  best.forEach((id, i) => {
    const before = best[i - 1];
    if (before === undefined) return;
    place[id] = (place[before] ?? 0) + (scoreOf(before) > scoreOf(id) ? 1 : 0);
  });
  const longest = tokens.reduce((most, { length }) => Math.max(most, length), 0);
  return (merged, leftLength) => ((place[merged] ?? 0) + 1) * longest - leftLength;
}
