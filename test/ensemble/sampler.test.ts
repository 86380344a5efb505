import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSampler, topTokens } from "../../src/ensemble/sampler.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { argMax } from "../../src/stats/distributions.ts";
import { plainSampling as plain, type SamplingOptions } from "../../src/ports/engine.ts";

const logs = (...p: number[]): Float32Array => Float32Array.from(p, Math.log);
const half = logs(0.1, 0.5, 0.15, 0.25);

/** How often each token is drawn from `logprobs` by fresh samplers. */
function frequencies(
  options: Partial<SamplingOptions>,
  logprobs: Float32Array,
  blocked: number[] = [],
): number[] {
  const random = createRandom(7).next;
  const counts = Array.from(logprobs, () => 0);
  const draws = 20_000;
  for (let i = 0; i < draws; i++) {
    const token = createSampler({ ...plain, ...options }, blocked, random).draw(logprobs);
    counts[token] = (counts[token] ?? 0) + 1 / draws;
  }
  return counts;
}

/** Fifty tokens drawn one after the other. */
function draw(seed: number): number[] {
  const sampler = createSampler(plain, [], createRandom(seed).next);
  return Array.from({ length: 50 }, () => sampler.draw(half));
}

function expectClose(actual: number[], expected: number[]): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, i) => expect(Math.abs(value - (expected[i] ?? NaN))).toBeLessThan(0.015));
}

describe("sampler", () => {
  it("draws tokens as often as their probabilities say", () => {
    expectClose(frequencies({}, half), [0.1, 0.5, 0.15, 0.25]);
  });

  it("temperature T draws in proportion to p^(1/T)", () => {
    const raised = [0.1, 0.5, 0.15, 0.25].map((p) => p ** 2);
    const sum = raised.reduce((a, b) => a + b);
    expectClose(
      frequencies({ temperature: 0.5 }, half),
      raised.map((p) => p / sum),
    );
  });

  it("temperature 0 takes the most likely token, the lowest id among equals", () => {
    const sampler = createSampler({ ...plain, temperature: 0 }, [], () => 0.99);
    expect(sampler.draw(half)).toBe(1);
    expect(sampler.draw(logs(0.1, 0.45, 0.45))).toBe(1);
  });

  it("draws the same whether or not it is told the most likely token", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -20, max: 0, noNaN: true }), { minLength: 4, maxLength: 12 }),
        fc.dictionary(fc.constantFrom("0", "1", "2", "3"), fc.double({ min: -9, max: 3, noNaN: true })),
        fc.double({ min: -1, max: 1, noNaN: true }),
        fc.double({ min: -1, max: 1, noNaN: true }),
        fc.subarray([0, 1, 2]),
        (values, biases, frequencyPenalty, presencePenalty, blocked) => {
          const logprobs = Float32Array.from(values);
          const logitBias = new Map(Object.entries(biases).map(([token, bias]) => [Number(token), bias]));
          const options = { ...plain, temperature: 0, logitBias, frequencyPenalty, presencePenalty };
          const [told, untold] = [0, 1].map(() => createSampler(options, blocked, () => 0));
          const top = argMax(logprobs);
          for (let i = 0; i < 6; i++) expect(told!.draw(logprobs, top)).toBe(untold!.draw(logprobs));
        },
      ),
      { seed: 4, numRuns: 500 },
    );
  });

  it("top_k keeps the k most likely tokens", () => {
    expectClose(frequencies({ topK: 2 }, half), [0, 2 / 3, 0, 1 / 3]);
  });

  it("top_p keeps the smallest set of most likely tokens that reaches it", () => {
    expectClose(frequencies({ topP: 0.6 }, half), [0, 2 / 3, 0, 1 / 3]);
    expectClose(frequencies({ topP: 0.0001 }, half), [0, 1, 0, 0]);
  });

  it("min_p keeps tokens at least that share of the most likely one", () => {
    expectClose(frequencies({ minP: 0.4 }, half), [0, 2 / 3, 0, 1 / 3]);
  });

  it("logit_bias adds to the logits, and -100 forbids", () => {
    expectClose(frequencies({ logitBias: new Map([[1, -100]]) }, half), [0.2, 0, 0.3, 0.5]);
    expectClose(
      frequencies({ logitBias: new Map([[0, Math.log(5)]]) }, half),
      [0.5, 0.5, 0.15, 0.25].map((p) => p / 1.4),
    );
  });

  it("never draws a blocked token, nor one at -Infinity", () => {
    expectClose(frequencies({}, half, [1]), [0.2, 0, 0.3, 0.5]);
    expectClose(frequencies({}, logs(0.5, 0, 0.5)), [0.5, 0, 0.5]);
  });

  it("penalties lower drawn tokens by count · frequency + presence", () => {
    const sampler = createSampler(
      { ...plain, temperature: 0, frequencyPenalty: 0.5, presencePenalty: 0.25 },
      [],
      () => 0,
    );
    // 0 leads by 1.5 nats: drawn three times it has lost 3 · 0.5 + 0.25 = 1.75.
    const logits = Float32Array.of(1.5, 0, -50);
    expect([1, 2, 3, 4].map(() => sampler.draw(logits))).toEqual([0, 0, 0, 1]);
  });

  it("the same seed draws the same tokens", () => {
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });

  it("whatever the options, draws a token that they allow", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -300, max: 0 }), { minLength: 1, maxLength: 200 }),
        fc.record({
          temperature: fc.double({ min: 0.05, max: 2, noNaN: true }),
          topP: fc.double({ min: 0.001, max: 1, noNaN: true }),
          topK: fc.nat(20),
          minP: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        fc.double({ min: 0, max: 0.999999, noNaN: true }),
        (logits, options, uniform) => {
          const row = Float32Array.from(logits, (tenths) => tenths / 10);
          const token = createSampler({ ...plain, ...options }, [], () => uniform).draw(row);
          const rank = [...row].filter((logit) => logit > (row[token] ?? 0)).length;
          expect(token).toBeLessThan(row.length);
          if (options.topK > 0) expect(rank).toBeLessThan(options.topK);
        },
      ),
    );
  });
});

describe("topTokens", () => {
  it("equals a full sort by value, then id", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 60 }),
        fc.nat(20),
        (values, count) => {
          const sorted = values
            .map((value, id) => ({ value, id }))
            .sort((a, b) => b.value - a.value || a.id - b.id);
          expect(topTokens(Float32Array.from(values), count)).toEqual(
            sorted.slice(0, count).map(({ id }) => id),
          );
        },
      ),
    );
  });
});
