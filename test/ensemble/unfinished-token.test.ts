import { describe, expect, it } from "vitest";
import { spellingAt, spellingsFrom, spellVocabulary } from "../../src/ensemble/spellings.ts";
import {
  continueToken,
  createTokenContinuations,
  type Continuation,
} from "../../src/ensemble/unfinished-token.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { logSoftmax } from "../../src/stats/distributions.ts";

import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { createByteTokenizer } from "../scripted-member.ts";

const anchor = createByteTokenizer();
const member = createMergingTokenizer(["the", "then", "them", "theme", " cat"]);
const spellings = spellVocabulary(member, anchor, silentProgress);
const bytesOf = (text: string): number[] => Array.from(new TextEncoder().encode(text));
const textOf = (token: number): string => new TextDecoder().decode(member.bytes(token));
const beginning = (text: string): string[] => {
  const { first, end } = spellingsFrom(spellings, bytesOf(text));
  return Array.from(spellings.tokens.subarray(first, end), textOf);
};

describe("a vocabulary spelled in the anchor's tokens", () => {
  it("spells every whole text, in order, and no special token", () => {
    const whole = Array.from({ length: member.vocabularySize }, (_, token) => token).filter(
      (token) => !member.specialTokens.has(token) && !textOf(token).includes("\uFFFD"),
    );
    expect([...spellings.tokens].toSorted((a, b) => a - b)).toEqual(whole);
    for (const [i, token] of spellings.tokens.entries()) {
      expect(Array.from(spellingAt(spellings, i))).toEqual(bytesOf(textOf(token)));
    }
  });

  it("finds all tokens that begin alike, the shortest first", () => {
    expect(beginning("the")).toEqual(["the", "them", "theme", "then"]);
    expect(beginning("them")).toEqual(["them", "theme"]);
    expect(beginning("thx")).toEqual([]);
  });
});

describe("a token that may go on", () => {
  const random = createRandom(5);
  const width = 4;
  const table = Float32Array.from({ length: member.vocabularySize * width }, () => random.normal());
  const before = Float32Array.from({ length: width }, () => random.normal());
  const rowOf = (token: number): Float32Array => table.subarray(token * width, (token + 1) * width);
  const weight = (token: number): number =>
    Math.exp(rowOf(token).reduce((sum, u, j) => sum + u * before[j]!, 0));
  const asked: number[][] = [];
  const continuations = createTokenContinuations({
    spellings,
    async rows(tokens) {
      asked.push([...tokens]);
      return Float32Array.from([...tokens].flatMap((token) => Array.from(rowOf(token))));
    },
  });
  const tokenOf = (text: string): number => member.encode(text).ids[0] ?? -1;

  it("goes on as the member's own tokens with this beginning do, by its state before it", async () => {
    const found = await continuations.after({ before, spelled: bytesOf("the") });
    const [the, then, them, theme] = ["the", "then", "them", "theme"].map((text) => weight(tokenOf(text)));
    const all = the! + then! + them! + theme!;
    expect(found?.ended).toBeCloseTo(Math.log(the! / all), 5);
    expect(nextOf(found).toSorted(([a], [b]) => a - b)).toEqual([
      [bytesOf("m")[0], expect.closeTo((them! + theme!) / all, 5)],
      [bytesOf("n")[0], expect.closeTo(then! / all, 5)],
    ]);
    expect(asked.at(-1)).toHaveLength(4);
  });

  it("reads the rows of a beginning once", async () => {
    const first = await continuations.after({ before, spelled: bytesOf("the") });
    const count = asked.length;
    expect(await continuations.after({ before, spelled: bytesOf("the") })).toEqual(first);
    expect(asked).toHaveLength(count);
  });

  it("reads them again where they could not be read", async () => {
    let fails = true;
    const shaky = createTokenContinuations({
      spellings,
      rows: async (tokens) => {
        if (fails) throw new Error("no such file");
        return Float32Array.from([...tokens].flatMap((token) => Array.from(rowOf(token))));
      },
    });
    await expect(shaky.after({ before, spelled: bytesOf("the") })).rejects.toThrow("no such file");
    fails = false;
    expect(await shaky.after({ before, spelled: bytesOf("the") })).toEqual(
      await continuations.after({ before, spelled: bytesOf("the") }),
    );
  });

  it("is over where no longer token begins with it", async () => {
    expect(await continuations.after({ before, spelled: bytesOf("then") })).toBeNull();
    expect(await continuations.after({ before, spelled: bytesOf("zebra") })).toBeNull();
  });

  it("leaves a distribution, and special tokens as they were", async () => {
    const special = [...anchor.specialTokens];
    const logprobs = Float32Array.from({ length: anchor.vocabularySize }, () => random.normal());
    logSoftmax(logprobs);
    const old = logprobs.slice();
    const kept = special.reduce((sum, token) => sum + Math.exp(old[token]!), 0);
    const found = await continuations.after({ before, spelled: bytesOf("the") });
    continueToken(logprobs, found!, Math.log(1 - kept), special);
    expect(logprobs.reduce((sum, logprob) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 5);
    for (const token of special) expect(logprobs[token]).toBe(old[token]);
    for (const token of [bytesOf("m")[0]!, bytesOf("a")[0]!]) {
      const expected =
        Math.exp(old[token]! + found!.ended) + (1 - kept) * (new Map(nextOf(found)).get(token) ?? 0);
      expect(Math.exp(logprobs[token]!)).toBeCloseTo(expected, 6);
    }
  });
});

function nextOf(found: Continuation | null): (readonly [number, number])[] {
  return Array.from(found?.tokens ?? [], (token, i) => [token, found?.shares[i] ?? 0] as const);
}
