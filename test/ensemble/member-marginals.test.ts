import { describe, expect, it } from "vitest";
import { mapToAnchor, marginalise } from "../../src/ensemble/member-marginals.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { gemma3, smollm2 } from "../transformers/real-tokenizers.ts";

describe("marginalise", () => {
  const random = createRandom(2);
  const logits = Float32Array.from({ length: 500 }, () => 3 * random.normal());
  const first = Int32Array.from({ length: 500 }, (_, t) => (t % 50 === 49 ? -1 : t % 30));
  const sums = new Float64Array(40);

  it("sums the probabilities of all tokens that begin with the same one, the most likely first", () => {
    const { tokens, probabilities } = marginalise(logits, first, sums, 40);
    const exact = new Float64Array(40);
    let total = 0;
    for (const [t, token] of first.entries()) {
      if (token < 0) continue;
      exact[token]! += Math.exp(logits[t] ?? 0);
      total += Math.exp(logits[t] ?? 0);
    }
    expect(tokens).toHaveLength(30);
    for (const [i, token] of tokens.entries())
      expect(probabilities[i]).toBeCloseTo((exact[token] ?? 0) / total, 5);
    expect([...probabilities]).toEqual([...probabilities].sort((a, b) => b - a));
  });

  it("keeps the most likely ones only, and leaves its working space clean", () => {
    const all = marginalise(logits, first, sums, 40);
    const few = marginalise(logits, first, sums, 5);
    expect(few.tokens).toEqual(all.tokens.slice(0, 5));
    expect(sums.every((x) => x === 0)).toBe(true);
  });
});

describe("a member's tokens by the anchor's", () => {
  it("are each mapped to the token with which the anchor begins the same text", () => {
    const first = mapToAnchor(gemma3, smollm2);
    for (const text of [" the", " Wednesday", ",", "\n\n", " photosynthesis", "Å"]) {
      const ids = gemma3.encode(text).ids;
      expect(ids).toHaveLength(1);
      expect(first[ids[0] ?? 0], text).toBe(smollm2.encode(text).ids[0]);
    }
    expect(first[gemma3.documentStart]).toBe(-1);
  });
});
