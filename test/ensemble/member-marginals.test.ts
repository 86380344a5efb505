import { describe, expect, it } from "vitest";
import { marginalise, marginalMap, mostLikely } from "../../src/ensemble/member-marginals.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { gemma3, smollm2 } from "../transformers/real-tokenizers.ts";

describe("marginalise", () => {
  const random = createRandom(2);
  const logits = Float32Array.from({ length: 500 }, () => 3 * random.normal());
  const first = Int32Array.from({ length: 500 }, (_, t) => (t % 50 === 49 ? -1 : t % 30));
  const anchor = Float32Array.from({ length: 40 }, () => random.normal());
  const exact = new Float64Array(40);
  let total = 0;
  for (const [t, token] of first.entries()) {
    if (token < 0) continue;
    exact[token]! += Math.exp(logits[t] ?? 0);
    total += Math.exp(logits[t] ?? 0);
  }

  it("sums the probabilities of all tokens that begin with the same one", () => {
    const probabilities = marginalise(logits, { first, groups: [] }, anchor);
    for (const [token, p] of probabilities.entries()) expect(p).toBeCloseTo((exact[token] ?? 0) / total, 5);
  });

  it("divides what stands under one token of a group as the anchor does, and leaves the others alone", () => {
    const probabilities = marginalise(logits, { first, groups: [Int32Array.of(4, 31, 35)] }, anchor);
    const parts = [4, 31, 35].map((token) => Math.exp(anchor[token] ?? 0));
    const whole = parts.reduce((sum, part) => sum + part, 0);
    for (const [i, token] of [4, 31, 35].entries()) {
      expect(probabilities[token]).toBeCloseTo((((exact[4] ?? 0) / total) * (parts[i] ?? 0)) / whole, 5);
    }
    expect(probabilities[7]).toBeCloseTo((exact[7] ?? 0) / total, 5);
    expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
  });
});

describe("mostLikely", () => {
  const random = createRandom(3);
  const probabilities = Float32Array.from({ length: 60 }, () => random.next() / 30);

  it("keeps the most likely tokens, the first being the most likely", () => {
    const { tokens, probabilities: kept } = mostLikely(probabilities, 5);
    expect([...kept]).toEqual([...probabilities].sort((a, b) => b - a).slice(0, 5));
    expect([...tokens].map((token) => probabilities[token])).toEqual([...kept]);
  });

  it("keeps unlikely ones too when there are few others", () => {
    const one = new Float32Array(60);
    one[3] = 1;
    one[8] = 1e-7;
    expect([...mostLikely(one, 2).tokens]).toEqual([3, 8]);
  });
});

describe("a marginal map", () => {
  const anchor = createMergingTokenizer(["'s", "th", "the"]);
  const token = (text: string): number => anchor.encode(text).ids[0] ?? -1;

  it("groups a token that the member spells with several of its own under the first of them", () => {
    const { groups } = marginalMap(createMergingTokenizer(["the", "there"]), anchor);
    expect(groups.map((group) => Array.from(group))).toEqual([
      [token("'"), token("'s")],
      [token("t"), token("th")],
    ]);
  });

  it("groups no token with which a token of the member begins", () => {
    const { groups } = marginalMap(createMergingTokenizer(["thx", "the", "'s"]), anchor);
    expect(groups).toEqual([]);
  });
});

describe("Gemma's tokens by SmolLM2's", () => {
  const { first, groups } = marginalMap(gemma3, smollm2);

  it("are each mapped to the token with which the anchor begins the same text", () => {
    for (const text of [" the", " Wednesday", ",", "\n\n", " photosynthesis", "Å"]) {
      const ids = gemma3.encode(text).ids;
      expect(ids).toHaveLength(1);
      expect(first[ids[0] ?? 0], text).toBe(smollm2.encode(text).ids[0]);
    }
    expect(first[gemma3.documentStart]).toBe(-1);
  });

  it("have 's grouped with the apostrophe, Gemma spelling it with two", () => {
    const host = smollm2.encode("'").ids[0] ?? -1;
    expect(groups.find(([own]) => own === host)).toContain(smollm2.encode("dog's").ids[1]);
  });
});
