import type { Clock } from "../ports/clock.ts";
import type { Prompt } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { Ensemble } from "./ensemble.ts";
import { createPredictor } from "./predictor.ts";
import type { MemberState } from "./predictor.ts";
import { readPrompt } from "./prompt.ts";
import type { Reading } from "./reading.ts";
import { createTextReader } from "./text-reader.ts";
import { createStopwatch } from "./timing.ts";
import { createTokenReader } from "./token-reader.ts";
import { createUtf8Stream } from "./utf8-stream.ts";

const INSIDE_A_CHARACTER: MemberState = { reason: "the text so far ends inside a character" };
/** Positions decoded at once while a prompt is scored: bounds the logits held to about 10 MB. */
const SCORED_AT_ONCE = 16;

/** All members read the prompt and follow the anchor's tokens; their states are fused in the shared space. */
export function createFusedReading(ensemble: Ensemble, prompt: Prompt, clock: Clock): Reading {
  const [anchor, ...followers] = ensemble.members;
  const read = readPrompt(anchor.tokenizer, prompt);
  const watches = ensemble.members.map(() => createStopwatch(clock));
  const predictor = createPredictor(ensemble);

  const characters = createUtf8Stream();
  const boundaries = textBoundaries(read.tokens, (token) => ({
    text: characters.push(anchor.tokenizer.bytes(token)),
    whole: !characters.incomplete,
  }));
  const whole = [true, ...boundaries.wholeAfter];
  const anchorReader = createTokenReader(anchor, read.tokens);
  const textReaders = followers.map((model) =>
    createTextReader(
      model,
      prompt.kind === "chat" ? model.tokenizer.renderChat(prompt.messages) : boundaries.text,
    ),
  );
  const timed = <T>(member: number, work: () => Promise<T>): Promise<T> =>
    watches[member]?.time(work) ?? work();

  return {
    prompt: read,
    async *score(signal) {
      if (prompt.kind === "chat") {
        throw new GatewayError(
          "unsupported",
          "a chat prompt is a different text for each member: it cannot be scored",
        );
      }
      const [own, ...others] = await Promise.all([
        timed(0, () => anchorReader.all(signal)),
        ...textReaders.map((reader, i) => timed(i + 1, () => reader.at(boundaries.offsets, signal))),
      ]);
      const at = (position: number): MemberState[] => [
        own?.[position] ?? INSIDE_A_CHARACTER,
        ...others.map((states) => (whole[position] && states?.[position]) || INSIDE_A_CHARACTER),
      ];
      for (let first = 0; first < read.tokens.length; first += SCORED_AT_ONCE) {
        const count = Math.min(SCORED_AT_ONCE, read.tokens.length - first);
        yield* await predictor.predict(
          Array.from({ length: count }, (_, i) => at(first + i)),
          signal,
        );
      }
    },
    async next(signal) {
      const states = await Promise.all<MemberState>([
        timed(0, () => anchorReader.current(signal)),
        ...textReaders.map((reader, i) =>
          characters.incomplete ? INSIDE_A_CHARACTER : timed(i + 1, () => reader.current(signal)),
        ),
      ]);
      const [prediction] = await predictor.predict([states], signal);
      if (prediction === undefined) throw new Error("fused reading: no prediction for one position");
      return prediction;
    },
    accept(token) {
      anchorReader.accept(token);
      const text = characters.push(anchor.tokenizer.bytes(token));
      for (const reader of textReaders) reader.append(text);
    },
    get latenciesMs() {
      return watches.map((watch) => watch.elapsedMs);
    },
    close() {
      anchorReader.close();
      for (const reader of textReaders) reader.close();
    },
  };
}

interface Boundaries {
  /** The text that the tokens make, as far as its characters are complete. */
  readonly text: string;
  /** Bytes of that text before each token and after the last. */
  readonly offsets: readonly number[];
  /** Whether the text ends with a whole character after each token. */
  readonly wholeAfter: readonly boolean[];
}

function textBoundaries(
  tokens: Int32Array,
  push: (token: number) => { text: string; whole: boolean },
): Boundaries {
  const encoder = new TextEncoder();
  const parts: string[] = [];
  const offsets = [0];
  const wholeAfter: boolean[] = [];
  let length = 0;
  for (const token of tokens) {
    const { text, whole } = push(token);
    parts.push(text);
    length += encoder.encode(text).length;
    offsets.push(length);
    wholeAfter.push(whole);
  }
  return { text: parts.join(""), offsets, wholeAfter };
}
