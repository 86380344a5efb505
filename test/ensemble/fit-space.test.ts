import { beforeAll, describe, expect, it } from "vitest";
import { poolGate } from "../../src/alignment/gate.ts";
import { decoderMatrix } from "../../src/alignment/decoder-matrix.ts";
import { decoderRows, type FitMember } from "../../src/ensemble/decoder-rows.ts";
import type { CorpusSplit } from "../../src/ensemble/corpus.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { fitSpace, type Fit } from "../../src/ensemble/fit-space.ts";
import { createFusedReading } from "../../src/ensemble/fused-reading.ts";
import type { Prediction } from "../../src/ensemble/reading.ts";
import { createSingleReading } from "../../src/ensemble/single-reading.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { createScriptedMembers, fitDocuments, fitMember, multiply, textDocument } from "../scripted-fit.ts";

const corpus: CorpusSplit = {
  fit: fitDocuments,
  choose: ["the mat sat on a dog.", "it est 12 figs"].map(textDocument),
  report: [],
};
const TEXT = "the figs sat far — ça va?";

async function predictions(ensemble: Ensemble): Promise<Prediction[]> {
  const reading = createFusedReading(ensemble, { kind: "text", text: TEXT }, systemClock);
  const all: Prediction[] = [];
  for await (const prediction of reading.score()) all.push(prediction);
  reading.close();
  return all;
}

const exponentialSum = (logprobs: Float32Array): number =>
  logprobs.reduce((sum, logprob) => sum + Math.exp(logprob), 0);

describe("a space fitted for three members of different widths", () => {
  const models = createScriptedMembers();
  const members = models.map(fitMember) as [FitMember, ...FitMember[]];
  let fit: Fit;
  let decoder: Float32Array;

  beforeAll(async () => {
    fit = await fitSpace({
      members,
      corpus,
      dimension: 48,
      ownTokens: { count: 10, positions: 2000 },
      eigenvalueFloor: 1e-6,
      taps: [],
      tappedPlaces: 0,
      multiply,
      findFused: async () => () => true,
      refinement: null,
      quality: null,
      seed: 1,
      clock: systemClock,
      progress: silentProgress,
    });
    const tables = await decoderRows(members, []);
    decoder = await decoderMatrix(
      fit.space,
      tables.map(({ rows }) => rows),
      multiply,
    );
  });

  function ensembleWith(weights: readonly number[]): Ensemble {
    const [anchor, ...followers] = models;
    if (anchor === undefined) throw new Error("no anchor");
    const { dimension, vocabularySize } = fit.space;
    return {
      members: [anchor, ...followers],
      space: {
        ...fit.space,
        members: fit.space.members.map((member, m) => Object.assign({}, member, { weight: weights[m] ?? 0 })),
        gates: { text: poolGate(3), chat: poolGate(3) },
      },
      decoder: {
        width: dimension,
        vocabularySize,
        decode: (states) => multiply(states, decoder, dimension),
      },
      continuations: [null, null, null],
      routes: [],
    };
  }

  it("chooses weights that are not negative and carries all the variance at full rank", () => {
    expect(fit.space.members.every((member) => member.weight >= 0)).toBe(true);
    expect(fit.explainedVariance).toBeCloseTo(1, 10);
  });

  it("the ensemble's and every member's probabilities sum to 1", async () => {
    for (const { logprobs, members: own } of await predictions(ensembleWith([0.3, 0.5, 0.4]))) {
      expect(exponentialSum(logprobs)).toBeCloseTo(1, 5);
      for (const member of own)
        if (member.logprobs) expect(exponentialSum(member.logprobs)).toBeCloseTo(1, 5);
    }
  });

  it("with weight 1 on one member the ensemble has that member's distribution", async () => {
    for (const m of [0, 1, 2]) {
      const weights = [0, 0, 0].map((_, i) => (i === m ? 1 : 0));
      for (const { logprobs, members: own } of await predictions(ensembleWith(weights))) {
        const alone = own[m]?.logprobs;
        if (alone) expect(largestGap(logprobs, alone)).toBeLessThan(1e-4);
      }
    }
  });

  it("at full rank a member read through the space is the member itself", async () => {
    const through = await predictions(ensembleWith([1, 1, 1]));
    for (const [m, model] of models.entries()) {
      const reading = createSingleReading(model, { kind: "text", text: TEXT }, systemClock);
      let position = 0;
      for await (const { logprobs } of reading.score()) {
        const shared = through[position++]?.members[m]?.logprobs;
        // The special tokens are the anchor's word: compared is what the member says given an ordinary token.
        if (shared) expect(largestGap(ordinary(shared), ordinary(logprobs))).toBeLessThan(2e-3);
      }
    }
  });

  it("only the anchor speaks where its tokens end inside a character", async () => {
    const reasons = (await predictions(ensembleWith([1, 1, 1]))).map(({ members: own }) =>
      own.map((member) => member.reason !== null),
    );
    const bytes = new TextEncoder().encode(TEXT);
    // Before byte i the text is inside a character exactly when byte i continues one.
    const inside = Array.from(bytes, (byte) => (byte & 0xc0) === 0x80);
    expect(reasons).toEqual(inside.map((is) => [false, is, is]));
  });
});

/** Log-probabilities of the 256 byte tokens, given that one of them comes. */
function ordinary(logprobs: Float32Array): Float32Array {
  const kept = logprobs.slice(0, 256);
  const mass = Math.log(exponentialSum(kept));
  return kept.map((logprob) => logprob - mass);
}

function largestGap(a: Float32Array, b: Float32Array): number {
  return a.reduce((gap, value, i) => Math.max(gap, Math.abs(value - (b[i] ?? NaN))), 0);
}
