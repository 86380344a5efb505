import type { TokenScore } from "../ports/engine.ts";

/** JSON has no -Infinity; a token that was ruled out has this log-probability, as in vLLM. */
const LEAST_LOGPROB = -9999;
const finite = (logprob: number): number => Math.max(logprob, LEAST_LOGPROB);
const finiteOrNull = (logprob: number | null): number | null => (logprob === null ? null : finite(logprob));

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A token's text; one that is no whole characters is written `bytes:\xe2\x82`, as OpenAI does. */
export function tokenText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    const hex = Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`);
    return `bytes:${hex.join("")}`;
  }
}

/** OpenAI's chat shape. */
export function chatLogprobs(tokens: readonly TokenScore[]) {
  return {
    content: tokens.map((score) => ({
      token: tokenText(score.bytes),
      logprob: finiteOrNull(score.logprob),
      bytes: Array.from(score.bytes),
      top_logprobs: score.top.map((alternative) => ({
        token: tokenText(alternative.bytes),
        logprob: finite(alternative.logprob),
        bytes: Array.from(alternative.bytes),
      })),
    })),
    refusal: null,
  };
}

/** OpenAI's shape for completions. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly (number | null)[];
  /** Null where nothing precedes the token. */
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  /** Where each token starts in the choice's text, in Unicode code points. */
  readonly text_offset: readonly number[];
}

/** Writes the log-probabilities of one choice; called once for the whole of it, or for each part of a stream in turn. */
export function createCompletionLogprobs(): (tokens: readonly TokenScore[]) => CompletionLogprobs {
  const offsetOf = createTextOffsets();
  return (tokens) => ({
    tokens: tokens.map((score) => tokenText(score.bytes)),
    token_logprobs: tokens.map((score) => finiteOrNull(score.logprob)),
    top_logprobs: tokens.map(alternatives),
    text_offset: tokens.map((score) => offsetOf(score.bytes)),
  });
}

/** The best tokens and always the chosen one. Of two tokens with the same text the likelier stands. */
function alternatives(score: TokenScore): Record<string, number> | null {
  if (score.logprob === null) return null;
  const byText = new Map<string, number>();
  for (const { bytes, logprob } of [...score.top, { bytes: score.bytes, logprob: score.logprob }]) {
    const key = tokenText(bytes);
    if (!byText.has(key)) byText.set(key, finite(logprob));
  }
  return Object.fromEntries(byText);
}

/**
 * Counts the characters that a sequence of tokens has begun.
 * A token that begins inside a character has that character's offset.
 */
function createTextOffsets(): (bytes: Uint8Array) => number {
  let begun = 0;
  let missing = 0;
  return (bytes) => {
    const insideCharacter = missing > 0 && isContinuation(bytes[0] ?? 0);
    const offset = insideCharacter ? begun - 1 : begun;
    for (const byte of bytes) {
      if (missing > 0 && isContinuation(byte)) {
        missing -= 1;
      } else {
        begun += 1;
        missing = continuationBytes(byte);
      }
    }
    return offset;
  };
}

const isContinuation = (byte: number): boolean => byte >> 6 === 0b10;

/** How many bytes must follow this one to make a character: 0 for ASCII and for a byte that starts none. */
function continuationBytes(lead: number): number {
  if (lead >= 0xf0 && lead < 0xf8) return 3;
  if (lead >= 0xe0 && lead < 0xf0) return 2;
  return lead >= 0xc0 && lead < 0xe0 ? 1 : 0;
}
