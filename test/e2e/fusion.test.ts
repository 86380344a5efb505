import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEnsemble, type OpenEnsemble } from "../../adapters/node/open-ensemble.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { createPredictor } from "../../src/ensemble/predictor.ts";
import type { Prediction } from "../../src/ensemble/reading.ts";
import { createStateReading, type MemberState } from "../../src/ensemble/state-reading.ts";
import { argMax, entropy, klDivergence } from "../../src/stats/distributions.ts";

const TEXT =
  "The unfortunately misunderstood lighthouse keeper of Geschichte wrote: the harbour froze in 1893, and 'nobody' came—until spring.";
const clock = { now: () => Date.now(), monotonic: () => performance.now() };

let opened: OpenEnsemble;
let positions: readonly (readonly MemberState[])[];
/** The same without the graph. */
let plain: Ensemble;

beforeAll(async () => {
  opened = await openEnsemble({ progress: createProgressBar() });
  plain = { ...opened.ensemble, fusion: null };
  const reading = createStateReading(opened.ensemble.members, { kind: "text", text: TEXT }, clock);
  positions = await reading.positions();
  reading.close();
}, 120_000);

afterAll(() => opened?.close());

const predict = (ensemble: Ensemble, kind: "text" | "chat" = "text"): Promise<Prediction[]> =>
  createPredictor(ensemble, kind).predict(positions);

describe("the fusion graph", () => {
  it("says what projecting, decoding and mixing one after the other say, to what 8 bits allow", async () => {
    for (const kind of ["text", "chat"] as const) {
      const [told, wanted] = [await predict(opened.ensemble, kind), await predict(plain, kind)];
      expect(told).toHaveLength(positions.length);
      let nats = 0;
      for (const [i, one] of told.entries()) {
        const other = wanted[i]!;
        nats += klDivergence(other.logprobs, one.logprobs) / told.length;
        expect(klDivergence(other.logprobs, one.logprobs)).toBeLessThan(0.01);
        for (const [m, { logprobs, weight, state }] of one.members.entries()) {
          const its = other.members[m]!;
          expect(klDivergence(its.logprobs!, logprobs!)).toBeLessThan(0.02);
          expect(weight).toBeCloseTo(its.weight, 1);
          expect(cosine(state!, its.state!)).toBeGreaterThan(0.99999);
        }
        expect(one.comparison!.divergence).toBeCloseTo(other.comparison!.divergence, 1);
      }
      expect(nats).toBeLessThan(0.002);
    }
  });

  it("tells of its distributions what they are: their sums, entropies, weights and most likely tokens", async () => {
    for (const { logprobs, members, known, comparison } of await predict(opened.ensemble)) {
      const all = [...members.map((member) => member.logprobs!), logprobs];
      for (const [e, row] of all.entries()) {
        expect(row.reduce((sum, logprob) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 3);
        expect(known!.tops[e]).toBe(argMax(row));
      }
      expect(known!.entropy).toBeCloseTo(entropy(logprobs), 2);
      for (const [m, { logprobs: row }] of members.entries()) {
        expect(comparison!.entropies[m]).toBeCloseTo(entropy(row!), 2);
      }
    }
  });

  it("gives the same for positions together and alone", async () => {
    const together = await predict(opened.ensemble);
    for (const i of [0, 7, positions.length - 1]) {
      const [alone] = await createPredictor(opened.ensemble, "text").predict(positions.slice(i, i + 1));
      expect(klDivergence(together[i]!.logprobs, alone!.logprobs)).toBeLessThan(1e-4);
      expect(alone!.known!.tops).toEqual(together[i]!.known!.tops);
    }
  });

  it("gives the same one after the other, where the next is written over the last", async () => {
    const together = await predict(opened.ensemble);
    const predictor = createPredictor(opened.ensemble, "text");
    for (const i of [3, 4, positions.length - 1]) {
      const { logprobs, members, known } = await predictor.next(positions[i]!);
      expect(klDivergence(together[i]!.logprobs, logprobs)).toBeLessThan(1e-4);
      for (const [m, { logprobs: row }] of members.entries()) {
        expect(klDivergence(together[i]!.members[m]!.logprobs!, row!)).toBeLessThan(1e-4);
      }
      expect(known!.tops).toEqual(together[i]!.known!.tops);
    }
  });

  it("is not asked where a member has no state", async () => {
    const asked: number[] = [];
    const { fusion } = opened.ensemble;
    const watched: Ensemble = {
      ...opened.ensemble,
      fusion: fusion && {
        fuse(words, signal) {
          asked.push(words.length);
          return fusion.fuse(words, signal);
        },
      },
    };
    const lost = positions.map(([anchor]) => [anchor!, { reason: "lost" }]);
    const [first] = await createPredictor(watched, "text").predict(lost);
    expect(asked).toEqual([]);
    expect(first!.members[1]!.logprobs).toBeNull();
    await createPredictor(watched, "text").predict(positions.slice(0, 2));
    expect(asked).toEqual([2]);
  });
});

function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}
