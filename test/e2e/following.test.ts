import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEnsemble, type OpenEnsemble } from "../../adapters/node/open-ensemble.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import { createFusedReading } from "../../src/ensemble/fused-reading.ts";
import type { Prediction } from "../../src/ensemble/reading.ts";
import { createSampler } from "../../src/ensemble/sampler.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { klDivergence } from "../../src/stats/distributions.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { plainSampling } from "../../src/ports/engine.ts";

const PROMPT = "Here is a list of three fruits and three num";
const TOKENS = 60;

let opened: OpenEnsemble;

beforeAll(async () => {
  opened = await openEnsemble({ progress: createProgressBar() });
});

afterAll(() => opened?.close());

/** Draws an answer at temperature 1, which wanders: its tokens often end inside Gemma's. */
async function draw(seed: number): Promise<{ tokens: number[]; predictions: (Float32Array | null)[][] }> {
  const { ensemble } = opened;
  const reading = createFusedReading(ensemble, { kind: "text", text: PROMPT }, systemClock);
  const sampler = createSampler(
    plainSampling,
    [...ensemble.members[0].tokenizer.specialTokens],
    createRandom(seed).next,
  );
  const tokens = [...reading.prompt.scored];
  const predictions: (Float32Array | null)[][] = [];
  for (let i = 0; i < TOKENS; i++) {
    const prediction = await reading.next();
    const token = sampler.draw(prediction.logprobs);
    predictions.push(prediction.members.map(({ logprobs }) => logprobs?.slice() ?? null));
    tokens.push(token);
    reading.accept(token);
  }
  reading.close();
  return { tokens, predictions };
}

describe("members that follow the anchor's tokens", () => {
  it.each([1, 2])(
    "predict while the text grows what they predict when they read it whole (seed %i)",
    async (seed) => {
      const { tokens, predictions } = await draw(seed);
      const reading = createFusedReading(opened.ensemble, { kind: "tokens", tokens }, systemClock);
      const whole: Prediction[] = [];
      for await (const prediction of reading.score()) whole.push(prediction);
      reading.close();
      const first = tokens.length - TOKENS;
      for (const m of [0, 1]) {
        const gaps: number[] = [];
        for (const [i, members] of predictions.entries()) {
          const grown = members[m] ?? null;
          const read = whole[first + i]?.members[m]?.logprobs;
          expect(grown === null).toBe(read === null);
          if (grown && read) gaps.push(klDivergence(grown, read));
        }
        // 8-bit arithmetic depends on how many tokens are read at once; another tokenisation would cost whole nats.
        expect(Math.max(...gaps), `member ${m}`).toBeLessThan(0.1);
        expect(gaps.reduce((a, b) => a + b, 0) / gaps.length, `member ${m}`).toBeLessThan(0.01);
      }
    },
  );
});
