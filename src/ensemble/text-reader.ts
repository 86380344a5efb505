import type { LanguageModel } from "../ports/language-model.ts";
import { createGrowingText, encodePrefixes } from "./growing-text.ts";
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
      const ids = Int32Array.from(growing.ids);
      const prefixes = encodePrefixes(tokenizer, initial, offsets);
      /** `after[i]` is the state after the first i tokens of the whole text. */
      const after = await readOn(0, new Int32Array(0), 1, signal);
      const readTo = async (count: number) => {
        if (count <= read) return;
        const from = read;
        const rows = await readOn(from, ids.subarray(from, count), count - from, signal);
        rows.forEach((row, i) => (after[from + 1 + i] = row));
      };
      const states: (Float32Array | null)[] = [];
      for (const prefix of prefixes) {
        if (prefix === null) {
          states.push(null);
          continue;
        }
        await readTo(prefix.shared);
        if (prefix.tail.length === 0) {
          states.push(after[prefix.shared] ?? null);
          continue;
        }
        const rows = await readOn(prefix.shared, prefix.tail, 1, signal);
        states.push(rows[0] ?? null);
        read = prefix.shared;
        sequence.truncate(read + 1);
      }
      await readTo(ids.length);
      state = after[ids.length] ?? null;
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
