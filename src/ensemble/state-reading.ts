import type { Clock } from "../ports/clock.ts";
import type { Prompt } from "../ports/engine.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { contextText, readPrompt, type ReadPrompt } from "./prompt.ts";
import { createTextReader } from "./text-reader.ts";
import { createStopwatch } from "./timing.ts";
import { createTokenReader } from "./token-reader.ts";
import { createUtf8Stream } from "./utf8-stream.ts";

/** A member's final state (d,), or why there is none. */
export type MemberState = Float32Array | { readonly reason: string };

/**
 * Members reading one text, each after its own form of the context: the anchor the text's tokens, the others the
 * characters those tokens make. Calls must not overlap.
 */
export interface StateReading {
  /** The prompt in the anchor's tokens. */
  readonly prompt: ReadPrompt;
  /** Every member's state before each of the prompt's scored tokens (t, m). Before any `current`. */
  positions(signal?: AbortSignal): Promise<MemberState[][]>;
  /** Every member's state after everything read so far (m). The anchor always has one. */
  current(signal?: AbortSignal): Promise<MemberState[]>;
  /** Adds one of the anchor's tokens. */
  accept(token: number): void;
  /** Time each member has computed so far, milliseconds. */
  readonly latenciesMs: readonly number[];
  close(): void;
}

const INSIDE_A_CHARACTER: MemberState = { reason: "the anchor's tokens end inside a character here" };

/** @param members the anchor first */
export function createStateReading(
  members: readonly [LanguageModel, ...LanguageModel[]],
  prompt: Prompt,
  clock: Clock,
): StateReading {
  const [anchor, ...followers] = members;
  const read = readPrompt(anchor.tokenizer, prompt);
  const characters = createUtf8Stream();
  const made = charactersOf(read.scored, (token) => ({
    text: characters.push(anchor.tokenizer.bytes(token)),
    whole: !characters.incomplete,
  }));
  const anchorReader = createTokenReader(anchor, [...read.context, ...read.scored]);
  const followed = followers.map((model) => {
    const context = contextText(model.tokenizer, prompt);
    const start = new TextEncoder().encode(context).length;
    return {
      reader: createTextReader(model, context + made.text),
      offsets: made.offsets.map((offset) => start + offset),
    };
  });
  const watches = members.map(() => createStopwatch(clock));
  const timed = <T>(member: number, work: () => Promise<T>): Promise<T> =>
    watches[member]?.time(work) ?? work();

  return {
    prompt: read,
    async positions(signal) {
      const [own, ...others] = await Promise.all([
        timed(0, () => anchorReader.all(signal)),
        ...followed.map(({ reader, offsets }, i) => timed(i + 1, () => reader.at(offsets, signal))),
      ]);
      return Array.from(read.scored, (_, position) => [
        own?.[read.context.length + position] ?? INSIDE_A_CHARACTER,
        ...others.map((states) => (made.whole[position] && states?.[position]) || INSIDE_A_CHARACTER),
      ]);
    },
    current: (signal) =>
      Promise.all([
        timed(0, () => anchorReader.current(signal)),
        ...followed.map(({ reader }, i) =>
          characters.incomplete ? INSIDE_A_CHARACTER : timed(i + 1, () => reader.current(signal)),
        ),
      ]),
    accept(token) {
      anchorReader.accept(token);
      const text = characters.push(anchor.tokenizer.bytes(token));
      for (const { reader } of followed) reader.append(text);
    },
    get latenciesMs() {
      return watches.map((watch) => watch.elapsedMs);
    },
    close() {
      anchorReader.close();
      for (const { reader } of followed) reader.close();
    },
  };
}

/** The characters that tokens make. */
interface MadeCharacters {
  readonly text: string;
  /** UTF-8 bytes of the text before each token and after the last (t + 1). */
  readonly offsets: readonly number[];
  /** Whether the tokens end with a whole character there (t + 1). */
  readonly whole: readonly boolean[];
}

function charactersOf(
  tokens: Int32Array,
  push: (token: number) => { text: string; whole: boolean },
): MadeCharacters {
  const encoder = new TextEncoder();
  const parts: string[] = [];
  const offsets = [0];
  const whole = [true];
  let length = 0;
  for (const token of tokens) {
    const piece = push(token);
    parts.push(piece.text);
    length += encoder.encode(piece.text).length;
    offsets.push(length);
    whole.push(piece.whole);
  }
  return { text: parts.join(""), offsets, whole };
}
