import type { Tokenizer } from "../ports/tokenizer.ts";
import { logSoftmax } from "../stats/distributions.ts";

/*
 * A follower reads characters. Where the anchor is lost nobody has a state inside one, so no token is drawn that begins
 * a character and leaves it open; one that is open already is completed.
 */

/** Which ordinary tokens are whole characters (V). A pass over the vocabulary, so once for each. */
const wholeTokens = new WeakMap<Tokenizer, readonly boolean[]>();

/**
 * Takes from log-probabilities (V), in place, the tokens after which a new character would be open, and scales the
 * others. If none were left it changes nothing.
 * @param open the first bytes of a character that the text ends inside of; none where it ends with a whole one
 */
export function keepWholeCharacters(logprobs: Float32Array, tokenizer: Tokenizer, open: Uint8Array): void {
  const allowed = open.length === 0 ? wholeOf(tokenizer) : completing(tokenizer, open);
  if (!logprobs.some((logprob, token) => allowed[token] === true && logprob > -Infinity)) return;
  for (let token = 0; token < logprobs.length; token++) if (!allowed[token]) logprobs[token] = -Infinity;
  logSoftmax(logprobs);
}

function wholeOf(tokenizer: Tokenizer): readonly boolean[] {
  const known = wholeTokens.get(tokenizer);
  if (known !== undefined) return known;
  const made = eachToken(tokenizer, (bytes, token) => tokenizer.specialTokens.has(token) || isWhole(bytes));
  wholeTokens.set(tokenizer, made);
  return made;
}

/** The tokens that go on with the open character, to its end or towards it. */
function completing(tokenizer: Tokenizer, open: Uint8Array): readonly boolean[] {
  return eachToken(tokenizer, (bytes, token) => {
    if (tokenizer.specialTokens.has(token) || !isContinuation(bytes[0])) return false;
    const joined = Uint8Array.of(...open, ...bytes);
    return isWhole(joined) || isBeginning(joined);
  });
}

function eachToken(
  { vocabularySize, bytes }: Tokenizer,
  test: (bytes: Uint8Array, token: number) => boolean,
): boolean[] {
  return Array.from({ length: vocabularySize }, (_, token) => test(bytes(token), token));
}

const strict = new TextDecoder("utf-8", { fatal: true });

function isWhole(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Whether bytes are the beginning of one character and less than it: some last bytes make it whole. */
function isBeginning(bytes: Uint8Array): boolean {
  const [lead = 0] = bytes;
  const missing = (lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2) - bytes.length;
  if (missing <= 0) return false;
  return [0x80, 0xbf].some((last) =>
    isWhole(Uint8Array.of(...bytes, ...Array.from({ length: missing }, () => last))),
  );
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x80 && byte < 0xc0;
}
