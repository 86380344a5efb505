import type { LanguageModel } from "../ports/language-model.ts";
import { createGrowingText } from "./growing-text.ts";
import { createPrefixReader, prefixStates, type PrefixState } from "./prefix-reader.ts";
import { rowsOf } from "./token-reader.ts";

/**
 * One model following a text that another model's tokens make. Its state is always that of the canonical
 * tokenisation of the text so far: where new text changes its last tokens, they are forgotten and read anew.
 */
export interface TextReader {
  /**
   * States after the prefixes of the text that end at `offsets` (UTF-8 bytes, ascending); null inside a character.
   * Afterwards the whole text has been read. Before any `current`.
   */
  at(offsets: readonly number[], signal?: AbortSignal): Promise<(PrefixState | null)[]>;
  /** State after the whole text. */
  current(signal?: AbortSignal): Promise<PrefixState>;
  append(text: string): void;
  close(): void;
}

/** New text changes the last tokens, seldom more than a few. */
const LAST_STATES = 32;

export function createTextReader(model: LanguageModel, text: string): TextReader {
  const { tokenizer, info } = model;
  const sequence = model.openSequence();
  const growing = createGrowingText(tokenizer, text);
  const initial = text;
  /** After the token `base` (0 is the document start) and after each later one that was read and the text still has. */
  let states: Float32Array[] = [];
  let base = 0;

  /** Reads what is not read yet. */
  async function readOn(signal?: AbortSignal): Promise<void> {
    const read = base + states.length;
    const whole = Int32Array.of(tokenizer.documentStart, ...growing.ids);
    if (read === whole.length) return;
    sequence.truncate(read);
    // Of the beginning nobody needs the states, so that it may be one that was read before.
    const rows = states.length > 0 ? whole.length - read : Math.min(whole.length - read, LAST_STATES);
    const { hidden } = await sequence.append(whole.subarray(read), { rows, signal });
    if (states.length === 0) base = whole.length - rows;
    states.push(...rowsOf(hidden, rows, info.width));
  }

  return {
    async at(offsets, signal) {
      const reader = createPrefixReader(model, sequence);
      const found = await prefixStates(reader, tokenizer, initial, offsets, signal);
      states = [...(await reader.read(Int32Array.from(growing.ids), signal))];
      base = 0;
      return found;
    },
    async current(signal) {
      await readOn(signal);
      const state = states.at(-1);
      if (state === undefined) throw new Error("text reader: nothing has been read");
      const last = growing.ids.at(-1);
      const lastBytes = last === undefined ? 0 : tokenizer.bytes(last).length;
      return { state, before: states.at(-2) ?? null, lastBytes };
    },
    append(more) {
      if (more === "") return;
      const { keep } = growing.append(more);
      states.length = Math.max(0, Math.min(states.length, keep + 1 - base));
      // Back to before what is known: what is needed of it is read again.
      if (states.length === 0) base = Math.max(0, Math.min(base, keep + 1 - LAST_STATES));
    },
    close() {
      sequence.close();
    },
  };
}
