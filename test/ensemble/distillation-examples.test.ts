import { describe, expect, it } from "vitest";
import type { CorpusDocument } from "../../src/ensemble/corpus.ts";
import { decoderRows } from "../../src/ensemble/decoder-rows.ts";
import { collectExamples } from "../../src/ensemble/distillation-examples.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { softmax } from "../../src/stats/distributions.ts";
import { fitMember } from "../scripted-fit.ts";
import { createScriptedMember } from "../scripted-member.ts";

const documents = (domain: string, text: string, count: number): CorpusDocument[] =>
  Array.from({ length: count }, (_, i) => ({
    domain,
    source: `${domain}:${i}`,
    passages: [{ kind: "text", text }],
  }));

describe("examples to distil from", () => {
  const anchor = createScriptedMember({ id: "anchor", seed: 1, width: 16 });
  const follower = createScriptedMember({ id: "follower", seed: 2, width: 24 });
  const collect = async (most: number) =>
    collectExamples({
      members: [anchor, follower],
      tables: await decoderRows([fitMember(anchor), fitMember(follower)], []),
      documents: [
        ...documents("a", "aaaaaaaaaa", 20),
        ...documents("b", "bbbbb", 20),
        ...documents("c", "ccccc", 2),
      ],
      most,
      clock: systemClock,
      progress: silentProgress,
    });

  it("are of every domain as many, while it has some", async () => {
    const tokens = (await collect(90)).map(({ token }) => String.fromCharCode(token));
    expect(["a", "b", "c"].map((letter) => tokens.filter((token) => token === letter).length)).toEqual([
      40, 40, 10,
    ]);
  });

  it("are as many as asked, or all there are", async () => {
    expect(await collect(33)).toHaveLength(33);
    expect(await collect(1000)).toHaveLength(310);
  });

  it("hold what each member's own head says of its state", async () => {
    for (const { states, targets } of await collect(20)) {
      for (const [m, member] of [anchor, follower].entries()) {
        const state = states[m] ?? new Float32Array(0);
        const own = await member.head.decode(state);
        for (const special of m === 0 ? [] : member.tokenizer.specialTokens) own[special] = -Infinity;
        softmax(own);
        for (const [i, token] of (targets[m]?.tokens ?? []).entries()) {
          expect(targets[m]?.probabilities[i]).toBeCloseTo(own[token] ?? NaN, 5);
        }
      }
    }
  });
});
