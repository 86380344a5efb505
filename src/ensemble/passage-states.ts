import type { AppendOptions, HiddenStates, LanguageModel, ModelInfo } from "../ports/language-model.ts";
import type { Encoding } from "../ports/tokenizer.ts";
import { passageText, type Passage } from "./corpus.ts";
import { readPrompt } from "./prompt.ts";

export interface PassageReading {
  /** Of the text, without the context. */
  readonly encoding: Encoding;
  /** Row i is the state after token i. */
  readonly states: HiddenStates;
}

export interface PassageReadingOptions extends Pick<AppendOptions, "signal"> {
  readonly taps: readonly number[];
  /** Tokens of the text that are read; the rest is left out. */
  readonly most: number;
  /** Tokens read in one go: between two goes a member can turn to something else. Default: all. */
  readonly atOnce?: number;
}

/** Layers whose residual streams are compared: every third one and the ends. */
export function tappedLayers({ layers }: Pick<ModelInfo, "layers">): number[] {
  return Array.from({ length: layers + 1 }, (_, layer) => layer).filter(
    (layer) => layer % 3 === 0 || layer === layers,
  );
}

/**
 * One member's states after the tokens of a text, or of a chat's answer.
 * @throws GatewayError context_length_exceeded | cancelled | members_lost
 */
export async function readPassage(
  member: LanguageModel,
  passage: Passage,
  options: PassageReadingOptions,
): Promise<PassageReading> {
  const { most, taps, signal } = options;
  const { context, scored } = readPrompt(member.tokenizer, passage);
  const ids = scored.subarray(0, most);
  const { ends } = member.tokenizer.encode(passageText(passage));
  const fed = Int32Array.of(member.tokenizer.documentStart, ...context, ...ids);
  const { atOnce = fed.length } = options;
  const sequence = member.openSequence();
  try {
    const parts: HiddenStates[] = [];
    for (let first = 0; first < fed.length; first += atOnce) {
      const tokens = fed.subarray(first, first + atOnce);
      const unscored = Math.max(0, fed.length - ids.length - first);
      const rows = Math.max(0, tokens.length - unscored);
      parts.push(await sequence.append(tokens, { rows, taps, signal }));
    }
    const first = ends.length - scored.length;
    return { encoding: { ids, ends: ends.subarray(first, first + ids.length) }, states: joined(parts) };
  } finally {
    sequence.close();
  }
}

function joined(parts: readonly HiddenStates[]): HiddenStates {
  const [only] = parts;
  if (parts.length === 1 && only) return only;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const all = (of: (part: HiddenStates) => Float32Array | undefined): Float32Array =>
    concatenated(parts.map((part) => of(part) ?? new Float32Array(0)));
  return {
    rows,
    hidden: all(({ hidden }) => hidden),
    taps: new Map([...(only?.taps.keys() ?? [])].map((layer) => [layer, all(({ taps }) => taps.get(layer))])),
  };
}

/** Arrays one after another. */
export function concatenated(arrays: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    whole.set(array, at);
    at += array.length;
  }
  return whole;
}

/** For each place where a word ends and every member has a token's end: the index of that token in each member. */
export function sharedWordEnds(text: string, encodings: readonly Encoding[]): number[][] {
  const bytes = new TextEncoder().encode(text);
  const positions = encodings.map(({ ends }) => new Map(Array.from(ends, (end, token) => [end, token])));
  return Array.from(encodings[0]?.ends ?? [])
    .filter((end) => isSpace(bytes[end]) && !isSpace(bytes[end - 1]))
    .map((end) => positions.flatMap((tokenAt) => tokenAt.get(end) ?? []))
    .filter((tokens) => tokens.length === encodings.length);
}

/** The end of the text counts as one. */
function isSpace(byte: number | undefined): boolean {
  return byte === undefined || byte === 32 || byte === 10;
}
