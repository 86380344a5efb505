import type { Clock } from "../ports/clock.ts";
import type { MemberLoss, Prompt } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { contextText, readPrompt, type ReadPrompt } from "./prompt.ts";
import { createTextReader } from "./text-reader.ts";
import type { Stage } from "./stages.ts";
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
 *
 * A member that is lost has no state from then on, and the others go on while they are as many as the quorum. Without
 * the anchor its tokens are still what the text is made of; inside a character, where followers otherwise abstain,
 * they then give their states after the last whole one, since nobody else has any.
 */
export interface StateReading {
  /** The prompt in the anchor's tokens. */
  readonly prompt: ReadPrompt;
  /**
   * Every member's state before each of the prompt's scored tokens (t, m). Before any `current`.
   * @throws GatewayError members_lost when fewer than the quorum are left
   */
  positions(signal?: AbortSignal): Promise<MemberState[][]>;
  /** Every member's state after everything read so far (m); at least one has one. @throws as `positions` */
  current(signal?: AbortSignal): Promise<MemberState[]>;
  /** Adds one of the anchor's tokens. */
  accept(token: number): void;
  /** Of the anchor's tokens, those that had been read before for another text. */
  readonly reused: number;
  /** Time each member has computed so far, milliseconds. */
  readonly latenciesMs: readonly number[];
  /** Each member's loss (m); null while it is there. */
  readonly losses: readonly (MemberLoss | null)[];
  /** One for each member. */
  readonly stages: readonly Stage[];
  /** What has been read of a character that is not complete yet: its first bytes. */
  readonly openCharacter: Uint8Array;
  close(): void;
}

const INSIDE_A_CHARACTER: MemberState = { reason: "the anchor's tokens end inside a character here" };

/**
 * @param members the anchor first
 * @param quorum the members without which there is no state; all of them where a loss must not go unnoticed
 */
export function createStateReading(
  members: readonly [LanguageModel, ...LanguageModel[]],
  prompt: Prompt,
  clock: Clock,
  quorum = members.length,
): StateReading {
  const [anchor, ...followers] = members;
  const read = readPrompt(anchor.tokenizer, prompt);
  const characters = createUtf8Stream();
  const made = charactersOf(read.scored, (token) => ({
    text: characters.push(anchor.tokenizer.bytes(token)),
    whole: !characters.incomplete,
  }));
  const losses = createLosses(members, quorum);
  const anchorReader = losses.unlessLost(0, () =>
    createTokenReader(anchor, [...read.context, ...read.scored]),
  );
  const followed = followers.map((model, f) => {
    const context = contextText(model.tokenizer, prompt);
    return {
      reader: losses.unlessLost(f + 1, () => createTextReader(model, context + made.text)),
      start: new TextEncoder().encode(context).length,
    };
  });
  /** The anchor's tokens after the context, and where each begins and the last ends, in UTF-8 bytes of their text (t + 1). */
  const tokens = [...read.scored];
  const offsets = [...made.offsets];
  const watches = members.map(() => createStopwatch(clock));
  /** What a member's reader gives; null once the member is lost. */
  async function ask<Reader, T>(
    member: number,
    reader: Reader | null,
    work: (reader: Reader) => Promise<T>,
  ): Promise<T | null> {
    if (reader === null || losses.of[member] !== null) return null;
    const position = tokens.length - read.scored.length;
    const asked = (): Promise<T> => work(reader);
    return (watches[member]?.time(asked) ?? asked()).catch((error: unknown) => {
      losses.add(member, position, error);
      return null;
    });
  }
  /** @param whole whether the text ends with a whole character there */
  const follow = (found: PrefixState, position: number, whole: boolean): FollowedState => ({
    state: found.state,
    unfinished: whole ? unfinishedToken(found, tokens, offsets, position) : null,
  });
  const absent = (member: number): MemberState => {
    const loss = losses.of[member];
    return loss ? { reason: loss.reason } : INSIDE_A_CHARACTER;
  };
  const askFollowers = (signal?: AbortSignal): Promise<(PrefixState | null)[]> =>
    Promise.all(
      followed.map(({ reader }, f) => ask(f + 1, reader, (following) => following.current(signal))),
    );

  return {
    prompt: read,
    async positions(signal) {
      losses.checkQuorum();
      const [own, ...others] = await Promise.all([
        ask(0, anchorReader, (reader) => reader.all(signal)),
        ...followed.map(({ reader, start }, f) =>
          ask(f + 1, reader, (following) =>
            following.at(
              made.offsets.map((offset) => start + offset),
              signal,
            ),
          ),
        ),
      ]);
      losses.checkQuorum();
      return Array.from(read.scored, (_, position): MemberState[] => {
        const whole = made.whole[position] === true;
        const state = own?.[read.context.length + position];
        return [
          state ? { state, unfinished: null } : absent(0),
          ...others.map((states, f) => {
            const found = whole || own === null ? states?.[position] : null;
            return found ? follow(found, position, whole) : absent(f + 1);
          }),
        ];
      });
    },
    async current(signal) {
      losses.checkQuorum();
      const whole = !characters.incomplete;
      const silent = followers.map(() => null);
      let [own, others] = await Promise.all([
        ask(0, anchorReader, (reader) => reader.current(signal)),
        whole ? askFollowers(signal) : silent,
      ]);
      if (own === null && !whole) others = await askFollowers(signal);
      losses.checkQuorum();
      return [
        own ? { state: own, unfinished: null } : absent(0),
        ...others.map((found, f) => (found ? follow(found, tokens.length, whole) : absent(f + 1))),
      ];
    },
    accept(token) {
      anchorReader?.accept(token);
      const text = characters.push(anchor.tokenizer.bytes(token));
      tokens.push(token);
      offsets.push((offsets.at(-1) ?? 0) + new TextEncoder().encode(text).length);
      for (const { reader } of followed) reader?.append(text);
    },
    get reused() {
      return anchorReader?.reused ?? 0;
    },
    get latenciesMs() {
      return watches.map((watch) => watch.elapsedMs);
    },
    get losses() {
      return losses.of;
    },
    get stages() {
      return watches.map((watch, m): Stage => {
        const id = members[m]?.info.id ?? "";
        return { name: `member ${id}`, watch, member: { id, lost: losses.of[m]?.reason ?? null } };
      });
    },
    get openCharacter() {
      return characters.pending;
    },
    close() {
      anchorReader?.close();
      for (const { reader } of followed) reader?.close();
    },
  };
}

interface Losses {
  /** (m). */
  readonly of: readonly (MemberLoss | null)[];
  /** Makes what needs the member; null if it is lost already. */
  unlessLost<T>(member: number, make: () => T): T | null;
  /** @throws the error, if it is no loss */
  add(member: number, position: number, error: unknown): void;
  /** @throws GatewayError members_lost when fewer than the quorum are left */
  checkQuorum(): void;
}

function createLosses(members: readonly LanguageModel[], quorum: number): Losses {
  const of: (MemberLoss | null)[] = members.map(() => null);
  const add = (member: number, position: number, error: unknown): void => {
    if (!(error instanceof GatewayError && error.code === "members_lost")) throw error;
    of[member] ??= { position, reason: error.message };
  };
  return {
    of,
    add,
    unlessLost(member, make) {
      try {
        return make();
      } catch (error) {
        add(member, 0, error);
        return null;
      }
    },
    checkQuorum() {
      const left = of.filter((loss) => loss === null).length;
      if (left >= quorum) return;
      const reasons = of.flatMap((loss) => (loss ? [loss.reason] : [])).join("; ");
      throw new GatewayError(
        "members_lost",
        `the answer needs ${quorum} of ${of.length} members and ${left} of them can be asked: ${reasons}. Ask again later.`,
      );
    },
  };
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
