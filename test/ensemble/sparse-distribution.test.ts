import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import { mostLikely } from "../../src/ensemble/sparse-distribution.ts";

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
