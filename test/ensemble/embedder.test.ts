import { describe, expect, test } from "vitest";
import { createEmbedder } from "../../src/ensemble/embedder.ts";
import { createSentenceEncoders } from "../../src/ensemble/sentence-encoders.ts";
import { createScriptedSource } from "../scripted-encoder.ts";

const sources = [
  createScriptedSource("causal", 2),
  createScriptedSource("one", 2),
  createScriptedSource("two", 3),
];
const space = {
  dimension: 2,
  agreement: Float64Array.of(1, 1),
  maps: [
    {
      id: "one",
      layer: 3,
      mean: Float32Array.of(2, 3),
      scale: Float32Array.of(1, 0),
      projection: Float32Array.of(3, 4, 0, 0),
    },
  ],
};
const encoders = createSentenceEncoders({
  sources,
  spaces: new Map([["deep", space]]),
  space: "space-1",
  fitted: [{ id: "one", weightsHash: "one-hash" }],
});
const plain = { contextLength: 8, layer: 4, standard: null };
const embedder = createEmbedder({
  encoders,
  natives: [
    {
      id: "causal",
      contextLength: 2048,
      layer: 2,
      standard: { mean: Float32Array.of(1, 2), scale: Float32Array.of(1, 5) },
      fused: false,
    },
    { id: "one", ...plain, fused: true },
    { id: "two", ...plain, contextLength: 6, fused: true },
  ],
  created: 7,
});
const embed = (model: string, ...texts: string[]) => embedder.embed({ model, texts });
const numbers = (vectors: Float32Array): unknown[] => [...vectors].map((x) => expect.closeTo(x, 6));

describe("createEmbedder", () => {
  test("lists the fused model, every member and every member in the shared space", () => {
    expect(embedder.models().map(({ id, contextLength }) => [id, contextLength])).toEqual([
      ["concord", 6],
      ["causal", 2048],
      ["one", 8],
      ["two", 6],
      ["shared:one", 8],
    ]);
    expect(embedder.models()[0]).toMatchObject({ created: 7, ownedBy: "concord" });
  });

  test("an encoder's vectors are its last states over their length", async () => {
    const made = await embed("one", "abc", "abcdef gh");
    expect(made.dimension).toBe(2);
    expect(made.tokens).toBe(3);
    expect(numbers(Float32Array.of(3 / 5, 4 / 5, 9 / Math.hypot(9, 4), 4 / Math.hypot(9, 4)))).toEqual([
      ...made.vectors,
    ]);
  });

  test("a language model's are standardised first", async () => {
    // (3 − 1, 5 · (2 − 2)) = (2, 0)
    expect([...(await embed("causal", "abc")).vectors]).toEqual([1, 0]);
  });

  test("a shared vector is the projected state over its length", async () => {
    // (6 − 2) · (3, 4) = (12, 16)
    expect([...(await embed("shared:one", "abcdef")).vectors]).toEqual(numbers(Float32Array.of(0.6, 0.8)));
  });

  test("concord's cosine is the mean of its members' cosines, its numbers are interleaved", async () => {
    const texts = ["abc", "abcdefghi"];
    const fused = await embed("concord", ...texts);
    const [one, two] = [await embed("one", ...texts), await embed("two", ...texts)];
    expect(fused.dimension).toBe(5);
    expect(fused.tokens).toBe(one.tokens + two.tokens);
    const cosine = ({ dimension, vectors }: typeof fused): number =>
      vectors.subarray(0, dimension).reduce((sum, x, j) => sum + x * (vectors[dimension + j] ?? 0), 0);
    expect(cosine(fused)).toBeCloseTo((cosine(one) + cosine(two)) / 2, 6);
    const [a0, a1] = one.vectors;
    const [b0, b1, b2] = two.vectors;
    const expected = [a0, b0, a1, b1, b2].map((x) => (x ?? 0) / Math.SQRT2);
    expect([...fused.vectors.subarray(0, 5)]).toEqual(numbers(Float32Array.from(expected)));
    expect(Math.hypot(...fused.vectors.subarray(5))).toBeCloseTo(1, 6);
  });

  test("faults of a text are faults of the input", async () => {
    for (const model of ["concord", "one", "shared:one"]) {
      await expect(embed(model, "abc", " ")).rejects.toMatchObject({
        code: "invalid_request",
        param: "input",
      });
      await expect(embed(model, "long")).rejects.toMatchObject({
        code: "context_length_exceeded",
        param: "input",
      });
    }
  });

  test("refuses names it has not listed", async () => {
    for (const model of ["three", "shared:two", "shared:concord"]) {
      await expect(embed(model, "abc")).rejects.toMatchObject({ code: "unknown_model", param: "model" });
    }
  });
});
