import type { LanguageModel } from "../ports/language-model.ts";

/** One model reading given tokens: its state after each of them. */
export interface TokenReader {
  /** States (d,) after the document start and after each token so far: one more than there are tokens. Before any `current`. */
  all(signal?: AbortSignal): Promise<Float32Array[]>;
  /** State (d,) after everything accepted. */
  current(signal?: AbortSignal): Promise<Float32Array>;
  accept(token: number): void;
  /** Tokens so far that had been read before for another text, and were not computed again. */
  readonly reused: number;
  close(): void;
}

/** @param tokens the prompt without its document start, which is put before it */
export function createTokenReader(model: LanguageModel, tokens: ArrayLike<number>): TokenReader {
  const sequence = model.openSequence();
  let pending: number[] = [model.tokenizer.documentStart, ...Array.from(tokens)];
  let state: Float32Array | null = null;
  let reused = 0;
  return {
    async all(signal) {
      const { hidden, rows } = await sequence.append(pending, { rows: pending.length, signal });
      pending = [];
      const states = rowsOf(hidden, rows, model.info.width);
      state = states.at(-1) ?? null;
      return states;
    },
    async current(signal) {
      if (pending.length > 0) {
        const read = await sequence.append(pending, { signal });
        pending = [];
        state = read.hidden;
        reused += read.reused ?? 0;
      }
      if (state === null) throw new Error("token reader: nothing has been read");
      return state;
    },
    accept(token) {
      pending.push(token);
    },
    get reused() {
      return reused;
    },
    close() {
      sequence.close();
    },
  };
}

/** Views of the rows of a row-major (rows, width) matrix. */
export function rowsOf(data: Float32Array, rows: number, width: number): Float32Array[] {
  return Array.from({ length: rows }, (_, row) => data.subarray(row * width, (row + 1) * width));
}
