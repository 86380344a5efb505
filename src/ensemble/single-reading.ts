import type { Clock } from "../ports/clock.ts";
import type { Prompt } from "../ports/engine.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { logSoftmax } from "../stats/distributions.ts";
import { readPrompt } from "./prompt.ts";
import type { Prediction, Reading } from "./reading.ts";
import { createStopwatch } from "./timing.ts";
import { createTokenReader, rowsOf } from "./token-reader.ts";

/** Positions decoded at once while a prompt is scored: a row of a large vocabulary is 1 MB. */
const SCORED_AT_ONCE = 8;

/** One member alone, with its own head and in its own vocabulary. */
export function createSingleReading(model: LanguageModel, prompt: Prompt, clock: Clock): Reading {
  const read = readPrompt(model.tokenizer, prompt);
  const reader = createTokenReader(model, [...read.context, ...read.scored]);
  const [watch, decoding] = [createStopwatch(clock), createStopwatch(clock)];

  async function predict(states: readonly Float32Array[], signal?: AbortSignal): Promise<Prediction[]> {
    const stacked = new Float32Array(states.length * model.info.width);
    states.forEach((state, i) => stacked.set(state, i * model.info.width));
    const logits = await decoding.time(() => model.head.decode(stacked, signal));
    return rowsOf(logits, states.length, model.head.vocabularySize).map((logprobs) => {
      logSoftmax(logprobs);
      return { logprobs, members: [{ logprobs, reason: null, weight: 1, state: null }], comparison: null };
    });
  }

  return {
    prompt: read,
    async *score(signal) {
      const states = await watch.time(() => reader.all(signal));
      const before = states.slice(read.context.length, -1);
      for (let first = 0; first < before.length; first += SCORED_AT_ONCE) {
        yield* await predict(before.slice(first, first + SCORED_AT_ONCE), signal);
      }
    },
    async next(signal) {
      const state = await watch.time(() => reader.current(signal));
      const [prediction] = await predict([state], signal);
      if (prediction === undefined) throw new Error("single reading: no prediction for one position");
      return prediction;
    },
    accept(token) {
      reader.accept(token);
    },
    get reused() {
      return reader.reused;
    },
    get latenciesMs() {
      return [watch.elapsedMs + decoding.elapsedMs];
    },
    // It answers alone, so its loss is the answer's end: it is thrown.
    losses: [null],
    stages: [
      { name: `member ${model.info.id}`, watch, member: { id: model.info.id, lost: null } },
      { name: "decode", watch: decoding },
    ],
    close() {
      reader.close();
    },
  };
}
