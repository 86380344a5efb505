import type { Clock } from "../ports/clock.ts";
import type { Prompt } from "../ports/engine.ts";
import type { Ensemble } from "./ensemble.ts";
import { createPredictor, type PredictorWatches } from "./predictor.ts";
import type { Reading } from "./reading.ts";
import { createStateReading } from "./state-reading.ts";
import { createStopwatch } from "./timing.ts";
import { keepWholeCharacters } from "./whole-characters.ts";

/** Positions decoded at once while a prompt is scored: bounds the logits held to about 10 MB. */
const SCORED_AT_ONCE = 16;

/**
 * All members read the prompt and follow the anchor's tokens; their states are fused in the shared space.
 * @param quorum as for `createStateReading`: all members by default
 */
export function createFusedReading(
  ensemble: Ensemble,
  prompt: Prompt,
  clock: Clock,
  quorum?: number,
): Reading {
  const states = createStateReading(ensemble.members, prompt, clock, quorum);
  const watches: PredictorWatches = {
    project: createStopwatch(clock),
    decode: createStopwatch(clock),
    fuse: createStopwatch(clock),
  };
  const predictor = createPredictor(ensemble, prompt.kind === "chat" ? "chat" : "text", watches);
  return {
    prompt: states.prompt,
    async *score(signal) {
      const positions = await states.positions(signal);
      for (let first = 0; first < positions.length; first += SCORED_AT_ONCE) {
        yield* await predictor.predict(positions.slice(first, first + SCORED_AT_ONCE), signal);
      }
    },
    async next(signal) {
      const prediction = await predictor.next(await states.current(signal), signal);
      if (states.losses[0])
        keepWholeCharacters(prediction.logprobs, ensemble.members[0].tokenizer, states.openCharacter);
      return prediction;
    },
    accept: states.accept,
    get reused() {
      return states.reused;
    },
    get latenciesMs() {
      return states.latenciesMs;
    },
    get losses() {
      return states.losses;
    },
    get stages() {
      return [...states.stages, ...Object.entries(watches).map(([name, watch]) => ({ name, watch }))];
    },
    close: states.close,
  };
}
