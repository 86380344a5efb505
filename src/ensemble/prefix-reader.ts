import type { LanguageModel, Sequence } from "../ports/language-model.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";
import { commonLength, encodePrefixes } from "./growing-text.ts";
import { rowsOf } from "./token-reader.ts";

/** Reads one run of tokens after another. What a run shares with the beginning of the one before is not read again. */
export interface PrefixReader {
  /** Residual stream of the tapped layer in the run read last, as `read` gives its final states; empty without a tap. */
  readonly tapped: readonly Float32Array[];
  /** States (d,) after the document start and after each of `tokens` (t + 1). */
  read(tokens: Int32Array, signal?: AbortSignal): Promise<readonly Float32Array[]>;
}

/**
 * @param sequence empty, and nobody else's while this reads
 * @param tap a layer to keep beside the final states; it costs no computing
 */
export function createPrefixReader(
  { info, tokenizer }: Pick<LanguageModel, "info" | "tokenizer">,
  sequence: Sequence,
  tap: number | null = null,
): PrefixReader {
  const taps = tap === null ? [] : [tap];
  let held: Int32Array = new Int32Array(0);
  let states: Float32Array[] = [];
  let tapped: Float32Array[] = [];
  return {
    get tapped() {
      return tapped;
    },
    async read(tokens, signal) {
      const shared = commonLength(held, tokens);
      const fed = states.length === 0 ? [tokenizer.documentStart, ...tokens] : tokens.subarray(shared);
      if (states.length > 0) {
        // All is as it was after `shared` tokens, should the reading below fail.
        sequence.truncate(shared + 1);
        states.length = shared + 1;
        tapped = tapped.slice(0, shared + 1);
        held = held.subarray(0, shared);
      }
      if (fed.length > 0) {
        const read = await sequence.append(fed, { rows: fed.length, taps, signal });
        states.push(...rowsOf(read.hidden, fed.length, info.width));
        for (const layer of read.taps.values()) tapped.push(...rowsOf(layer, fed.length, info.width));
        held = tokens.slice();
      }
      return [...states];
    },
  };
}

/** A member's final states at the end of a beginning of a text. */
export interface PrefixState {
  /** After its last token (d,). */
  readonly state: Float32Array;
  /** Before its last token (d,); null where it has none. */
  readonly before: Float32Array | null;
  /** UTF-8 bytes of its last token. */
  readonly lastBytes: number;
}

/**
 * States at the ends of the beginnings of `text` that end at `offsets` (UTF-8 bytes, ascending), each in its own canonical
 * tokens; null inside a character. The text is read in one go, and beginnings with other last tokens than it after that.
 */
export async function prefixStates(
  reader: PrefixReader,
  tokenizer: Tokenizer,
  text: string,
  offsets: readonly number[],
  signal?: AbortSignal,
): Promise<(PrefixState | null)[]> {
  const prefixes = encodePrefixes(tokenizer, text, offsets);
  const { ids } = tokenizer.encode(text);
  const whole = await reader.read(ids, signal);
  const at = (
    states: readonly Float32Array[],
    length: number,
    last: number | undefined,
  ): PrefixState | null => {
    const state = states[length];
    const lastBytes = last === undefined ? 0 : tokenizer.bytes(last).length;
    return state === undefined ? null : { state, before: states[length - 1] ?? null, lastBytes };
  };
  const found = prefixes.map((prefix) =>
    prefix === null ? null : at(whole, prefix.shared, ids[prefix.shared - 1]),
  );
  // From the last to the first: each then goes back from the one before and keeps what it needs.
  for (const [i, prefix] of Array.from(prefixes.entries()).toReversed()) {
    if (prefix === null || prefix.tail.length === 0) continue;
    const beginning = Int32Array.of(...ids.subarray(0, prefix.shared), ...prefix.tail);
    found[i] = at(await reader.read(beginning, signal), beginning.length, beginning.at(-1));
  }
  return found;
}
