import type { Clock } from "../ports/clock.ts";
import type { Prompt } from "../ports/engine.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { contextText, readPrompt, type ReadPrompt } from "./prompt.ts";
import { createTextReader } from "./text-reader.ts";
import { createStopwatch } from "./timing.ts";
import type { PrefixState } from "./prefix-reader.ts";
import { createTokenReader } from "./token-reader.ts";
import type { UnfinishedToken } from "./unfinished-token.ts";
import { createUtf8Stream } from "./utf8-stream.ts";

/** A member's final state where it follows the anchor's tokens, or why there is none. */
export type MemberState = FollowedState | { readonly reason: string };

export interface FollowedState {
  /** h (d,). */
  readonly state: Float32Array;
  /** Its last token, where the anchor's tokens spell it out; always null for the anchor. */
  readonly unfinished: UnfinishedToken | null;
}

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
    return {
      reader: createTextReader(model, context + made.text),
      start: new TextEncoder().encode(context).length,
    };
  });
  /** The anchor's tokens after the context, and where each begins and the last ends, in UTF-8 bytes of their text (t + 1). */
  const tokens = [...read.scored];
  const offsets = [...made.offsets];
  const watches = members.map(() => createStopwatch(clock));
  const timed = <T>(member: number, work: () => Promise<T>): Promise<T> =>
    watches[member]?.time(work) ?? work();
  const follow = (found: PrefixState, position: number): FollowedState => ({
    state: found.state,
    unfinished: unfinishedToken(found, tokens, offsets, position),
  });

  return {
    prompt: read,
    async positions(signal) {
      const [own, ...others] = await Promise.all([
        timed(0, () => anchorReader.all(signal)),
        ...followed.map(({ reader, start }, i) =>
          timed(i + 1, () =>
            reader.at(
              made.offsets.map((offset) => start + offset),
              signal,
            ),
          ),
        ),
      ]);
      return Array.from(read.scored, (_, position): MemberState[] => [
        anchorState(own[read.context.length + position]),
        ...others.map((states) => {
          const found = made.whole[position] ? states[position] : null;
          return found ? follow(found, position) : INSIDE_A_CHARACTER;
        }),
      ]);
    },
    async current(signal) {
      const [own, ...others] = await Promise.all([
        timed(0, () => anchorReader.current(signal)),
        ...followed.map(({ reader }, i) =>
          characters.incomplete ? null : timed(i + 1, () => reader.current(signal)),
        ),
      ]);
      const follows = others.map((found) => (found ? follow(found, tokens.length) : INSIDE_A_CHARACTER));
      return [anchorState(own), ...follows];
    },
    accept(token) {
      anchorReader.accept(token);
      const text = characters.push(anchor.tokenizer.bytes(token));
      tokens.push(token);
      offsets.push((offsets.at(-1) ?? 0) + new TextEncoder().encode(text).length);
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

function anchorState(state: Float32Array | undefined): MemberState {
  return state === undefined ? INSIDE_A_CHARACTER : { state, unfinished: null };
}

/** The member's last token before `position`, if it begins where one of the anchor's tokens does. */
export function unfinishedToken(
  { before, lastBytes }: PrefixState,
  tokens: readonly number[],
  offsets: readonly number[],
  position: number,
): UnfinishedToken | null {
  if (before === null) return null;
  const begins = (offsets[position] ?? 0) - lastBytes;
  let first = position;
  while (first > 0 && (offsets[first - 1] ?? 0) >= begins) first--;
  return first < position && offsets[first] === begins
    ? { before, spelled: tokens.slice(first, position) }
    : null;
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
