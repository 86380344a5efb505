import type { LanguageModel } from "../ports/language-model.ts";
import { createGrowingText } from "./growing-text.ts";
import { createPrefixReader, prefixStates } from "./prefix-reader.ts";
import { rowsOf } from "./token-reader.ts";

/**
 * One model following a text that another model's tokens make. Its state is always that of the canonical
 * tokenisation of the text so far: where new text changes its last tokens, they are forgotten and read anew.
 */
export interface TextReader {
  /**
   * States (d,) after the prefixes of the text that end at `offsets` (UTF-8 bytes, ascending); null inside a
   * character. Afterwards the whole text has been read. Before any `current`.
   */
  at(offsets: readonly number[], signal?: AbortSignal): Promise<(Float32Array | null)[]>;
  /** State (d,) after the whole text. */
  current(signal?: AbortSignal): Promise<Float32Array>;
  append(text: string): void;
  close(): void;
}

export function createTextReader(model: LanguageModel, text: string): TextReader {
  const { tokenizer, info } = model;
  const sequence = model.openSequence();
  const growing = createGrowingText(tokenizer, text);
  const initial = text;
  /** Tokens of the text that the sequence holds, not counting the document start. */
  let read = 0;
  let state: Float32Array | null = null;

  /** Makes the sequence hold the first `keep` tokens and then `tokens`; returns the states after each of `tokens`. */
  async function readOn(keep: number, tokens: Int32Array, rows: number, signal?: AbortSignal) {
    const started = sequence.length > 0;
    if (started) sequence.truncate(keep + 1);
    const fed = started ? tokens : Int32Array.of(tokenizer.documentStart, ...tokens);
    const { hidden } = await sequence.append(fed, { rows, signal });
    read = keep + tokens.length;
    return rowsOf(hidden, rows, info.width);
  }

  return {
    async at(offsets, signal) {
      const reader = createPrefixReader(model, sequence);
      const states = await prefixStates(reader, tokenizer, initial, offsets, signal);
      const whole = await reader.read(Int32Array.from(growing.ids), signal);
      read = growing.length;
      state = whole.at(-1) ?? null;
      return states;
    },
    async current(signal) {
      if (state === null) {
        // At least the last token is read again: its state was not kept.
        const keep = Math.max(0, Math.min(read, growing.length - 1));
        const rows = await readOn(keep, Int32Array.from(growing.ids).subarray(keep), 1, signal);
        state = rows[0] ?? null;
      }
      if (state === null) throw new Error("text reader: nothing has been read");
      return state;
    },
    append(more) {
      if (more === "") return;
      const { keep } = growing.append(more);
      read = Math.min(read, keep);
      state = null;
    },
    close() {
      sequence.close();
    },
  };
}
