import { describe, expect, test } from "vitest";
import type { SentenceMap } from "../../src/alignment/sentence-space.ts";
import { evaluateEmbeddings } from "../../src/ensemble/evaluate-embeddings.ts";
import { createSentenceEncoders, type EncoderSource } from "../../src/ensemble/sentence-encoders.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { silentProgress } from "../../src/ports/progress.ts";

const WIDTH = 8;
const LAYER = 2;

/** Texts are "topic 3, left": a state is the topic's, which all members know, and noise that each has of its own. */
function source(id: string, noise: number, seed: number): EncoderSource {
  const info = { id, family: "scripted", width: WIDTH, layers: LAYER, contextLength: 8, weightsHash: id };
  const own = createRandom(seed);
  const stateOf = (text: string): number[] => {
    const topic = createRandom(1000 + Number(/\d+/.exec(text)?.[0]));
    return Array.from({ length: WIDTH }, () => topic.normal() + noise * own.normal());
  };
  return {
    id,
    weightsHash: id,
    open: async () => ({
      encoder: {
        info,
        encode: async (texts, { layers }) => ({
          layers: new Map(layers.map((layer) => [layer, Float32Array.from(texts.flatMap(stateOf))])),
          tokens: Int32Array.from(texts, () => 1),
        }),
      },
      close: async () => {},
    }),
  };
}

const map = (id: string): SentenceMap => ({
  id,
  layer: LAYER,
  mean: new Float32Array(WIDTH),
  scale: new Float32Array(WIDTH).fill(1),
  projection: Float32Array.from({ length: WIDTH ** 2 }, (_, at) => Number(at % (WIDTH + 1) === 0)),
});
const space = {
  dimension: WIDTH,
  agreement: new Float64Array(WIDTH),
  maps: ["causal", "one", "two"].map(map),
};
const pairsOf = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    left: `topic ${first + i}, left`,
    right: `topic ${first + i}`,
  }));
const native = (id: string, fused: boolean) => ({
  id,
  contextLength: 8,
  layer: LAYER,
  standard: null,
  fused,
});

function evaluate(
  sets = [
    { name: "many", pairs: pairsOf(0, 80) },
    { name: "few", pairs: pairsOf(200, 20) },
  ],
) {
  const sources = [
    source("causal", 2, 1),
    source("one", 0.9, 2),
    source("two", 0.9, 3),
    source("unmapped", 5, 4),
  ];
  const fitted = sources.slice(0, 3);
  return evaluateEmbeddings({
    encoders: createSentenceEncoders({ sources, spaces: new Map([["deep", space]]), space: "s", fitted }),
    natives: [native("causal", false), native("one", true), native("two", true), native("unmapped", false)],
    space,
    sets,
    seed: 1,
    progress: silentProgress,
  });
}

describe("evaluateEmbeddings", () => {
  test("has a row for every way, those in the shared space for members with a map", async () => {
    const { rows, sets } = await evaluate();
    expect(sets).toEqual([
      { name: "many", pairs: 80 },
      { name: "few", pairs: 20 },
    ]);
    expect(rows.map(({ name }) => name)).toEqual([
      "causal",
      "one",
      "two",
      "unmapped",
      "shared:causal",
      "shared:one",
      "shared:two",
      "concord",
      "all members side by side",
      "mean of the encoders in the shared space",
      "mean of all members in the shared space",
      "one member's texts among another's",
    ]);
  });

  test("encoders of independent noise are better together, and the interval says so", async () => {
    const { rows, bestMember } = await evaluate();
    expect(["one", "two"]).toContain(bestMember);
    const concord = rows.find(({ name }) => name === "concord");
    const best = rows.find(({ name }) => name === bestMember);
    expect(best?.versusBest).toBeNull();
    expect(concord?.versusBest?.difference).toBeCloseTo((concord?.mean ?? 0) - (best?.mean ?? 0), 12);
    expect(concord?.versusBest?.interval.low).toBeGreaterThan(0);
    const noisy = rows.find(({ name }) => name === "causal");
    expect(noisy?.versusBest?.interval.high).toBeLessThan(0);
  });

  test("every set weighs the same, and a map that changes nothing gives the member's own ranks", async () => {
    const { rows } = await evaluate();
    for (const { sets, mean } of rows) {
      expect(sets).toHaveLength(2);
      expect(mean).toBeCloseTo(((sets[0] ?? 0) + (sets[1] ?? 0)) / 2, 12);
    }
    const named = (wanted: string) => rows.find(({ name }) => name === wanted)?.sets;
    for (const id of ["causal", "one", "two"]) expect(named(`shared:${id}`)).toEqual(named(id));
  });

  test("refuses a set without pairs", async () => {
    await expect(evaluate([{ name: "none", pairs: [] }])).rejects.toThrow("got none in none");
  });
});
