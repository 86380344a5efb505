import type { LanguageModel, Sequence } from "../ports/language-model.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";
import { commonLength, encodePrefixes } from "./growing-text.ts";
import { rowsOf } from "./token-reader.ts";

/** Reads one run of tokens after another. What a run shares with the beginning of the one before is not read again. */
export interface PrefixReader {
  /** States (d,) after the document start and after each of `tokens` (t + 1). */
  read(tokens: Int32Array, signal?: AbortSignal): Promise<readonly Float32Array[]>;
}

/** @param sequence empty, and nobody else's while this reads */
export function createPrefixReader(
  { info, tokenizer }: Pick<LanguageModel, "info" | "tokenizer">,
  sequence: Sequence,
): PrefixReader {
  let held: Int32Array = new Int32Array(0);
  let states: Float32Array[] = [];
  return {
    async read(tokens, signal) {
      const shared = commonLength(held, tokens);
      const fed = states.length === 0 ? [tokenizer.documentStart, ...tokens] : tokens.subarray(shared);
      if (states.length > 0) {
        // All is as it was after `shared` tokens, should the reading below fail.
        sequence.truncate(shared + 1);
        states.length = shared + 1;
        held = held.subarray(0, shared);
      }
      if (fed.length > 0) {
        const { hidden } = await sequence.append(fed, { rows: fed.length, signal });
        states.push(...rowsOf(hidden, fed.length, info.width));
        held = tokens.slice();
      }
      return [...states];
    },
  };
}

/**
 * States (d,) after the beginnings of `text` that end at `offsets` (UTF-8 bytes, ascending), each in its own canonical
 * tokens; null inside a character. The text is read in one go, and beginnings with other last tokens than it after that.
 */
export async function prefixStates(
  reader: PrefixReader,
  tokenizer: Tokenizer,
  text: string,
  offsets: readonly number[],
  signal?: AbortSignal,
): Promise<(Float32Array | null)[]> {
  const prefixes = encodePrefixes(tokenizer, text, offsets);
  const { ids } = tokenizer.encode(text);
  const whole = await reader.read(ids, signal);
  const states = prefixes.map((prefix) => (prefix === null ? null : (whole[prefix.shared] ?? null)));
  // From the last to the first: each then goes back from the one before and keeps what it needs.
  for (const [i, prefix] of Array.from(prefixes.entries()).toReversed()) {
    if (prefix === null || prefix.tail.length === 0) continue;
    const beginning = Int32Array.of(...ids.subarray(0, prefix.shared), ...prefix.tail);
    states[i] = (await reader.read(beginning, signal)).at(-1) ?? null;
  }
  return states;
}
