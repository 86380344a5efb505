import type { ChatMessage, Encoding, Tokenizer } from "../ports/tokenizer.ts";
import { commonLength } from "./growing-text.ts";

/** What is read before every choice: a text, which may be empty, or the turns of a chat, which each member reads in its own form. */
export type ChoiceContext = string | readonly ChatMessage[];

/** What may be asked of members about fixed answers. */
export interface ChoiceQuestion {
  readonly context: ChoiceContext;
  /** What may follow, after a text with its leading space (c). */
  readonly choices: readonly string[];
}

/** A question with fixed answers of which the right one is known. */
export interface ChoiceItem extends ChoiceQuestion {
  /** Its own name among the items. */
  readonly id: string;
  /** A part of the set, for those who ask. */
  readonly group?: string | undefined;
  /** The right choice. */
  readonly label: number;
  /** What it may be used for: learning, picking between ways to decide, telling numbers. */
  readonly split: "fit" | "choose" | "report";
}

/** The canonical tokens of context + choice, for every choice of an item. */
export interface OptionTokens {
  /** UTF-8 bytes of the context, in this tokenizer's form of it. */
  readonly contextBytes: number;
  /** context + choice (c). */
  readonly texts: readonly string[];
  /** Token ids (c), (t) each. */
  readonly ids: readonly Int32Array[];
  /** Where each token ends, UTF-8 bytes of the text (c), (t) each. */
  readonly ends: readonly Int32Array[];
  /** Tokens that are given: those at the beginning that all choices share and that end within the context. */
  readonly given: number;
  /** Where there is something to predict, in order. */
  readonly positions: readonly OptionPosition[];
}

/** A beginning after which one or more choices go on with a token of theirs. */
export interface OptionPosition {
  /** A choice whose first `index` tokens make the beginning. */
  readonly option: number;
  readonly index: number;
  readonly next: readonly { readonly option: number; readonly token: number }[];
}

/**
 * Choices are compared by log P(tokens of context + choice | given tokens). A token that begins in the context and ends in
 * a choice is predicted, not given; and where it makes one choice begin earlier than another, the other is predicted
 * from there as well, so that all are given the same. Beginnings that choices share appear once. A document start that a
 * template writes is left out: whoever reads puts it first.
 */
export function tokenizeOptions(tokenizer: Tokenizer, { context, choices }: ChoiceQuestion): OptionTokens {
  const before = typeof context === "string" ? context : tokenizer.renderChat(context);
  const texts = choices.map((choice) => before + choice);
  const encodings = texts.map((text) => withoutStart(tokenizer, text));
  const ids = encodings.map((encoding) => encoding.ids);
  const ends = encodings.map((encoding) => encoding.ends);
  const first = ids[0] ?? new Int32Array(0);
  const common = Math.min(...ids.map((other) => commonLength(first, other)));
  const contextBytes = new TextEncoder().encode(before).length;
  const given = (ends[0] ?? new Int32Array(0))
    .subarray(0, common)
    .filter((end) => end <= contextBytes).length;
  const longest = Math.max(...ids.map((option) => option.length));
  const positions: OptionPosition[] = [];
  for (let index = given; index < longest; index++) {
    const next = ids.flatMap((option, o) =>
      index < option.length ? [{ option: o, token: option[index] ?? 0 }] : [],
    );
    if (index <= common && next[0]) positions.push({ option: next[0].option, index, next });
    else for (const only of next) positions.push({ option: only.option, index, next: [only] });
  }
  return { contextBytes, texts, ids, ends, given, positions };
}

function withoutStart(tokenizer: Tokenizer, text: string): Encoding {
  const { ids, ends } = tokenizer.encode(text);
  const from = ids[0] === tokenizer.documentStart ? 1 : 0;
  return { ids: ids.subarray(from), ends: ends.subarray(from) };
}
