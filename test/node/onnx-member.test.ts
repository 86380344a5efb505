import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HiddenStates, LanguageModel, Sequence } from "../../src/ports/language-model.ts";
import { describeLanguageModel } from "../contracts/language-model.ts";
import { openMember } from "../open-member.ts";

// Activations are rounded to 8 bits block by block: sums in another order can round to another code.
const closeness = 0.998;

describeLanguageModel("SmolLM2 135M", { open: () => openMember("smollm2-135m-instruct"), closeness });
describeLanguageModel("Gemma 3 270M", { open: () => openMember("gemma-3-270m"), closeness });

describeLanguageModel("SmolLM2 135M that keeps what it has read", {
  open: () => openMember("smollm2-135m-instruct", { prefixBytes: 64e6 }),
  closeness,
});

describe("a beginning that was read before", () => {
  const text = Array.from({ length: 150 }, (_, i) => 500 + ((i * 7919) % 4000));
  let fresh: LanguageModel;
  let keeping: LanguageModel;
  beforeAll(async () => {
    fresh = await openMember("smollm2-135m-instruct");
    keeping = await openMember("smollm2-135m-instruct", { prefixBytes: 64e6 });
  });
  afterAll(() => Promise.all([fresh.close(), keeping.close()]));

  test("is not read again, whatever comes after it, and the states are those of reading it", async () => {
    const first = await readOnce(keeping, text);
    expect(first.reused).toBe(0);
    const other = [...text.slice(0, 100), 5, 6, 7];
    const second = await readOnce(keeping, other);
    expect(second.reused).toBe(96);
    expect(cosine(second.hidden, (await readOnce(fresh, other)).hidden)).toBeGreaterThan(closeness);
    const same = await readOnce(keeping, text);
    expect(same.reused).toBe(128);
    expect(cosine(same.hidden, first.hidden)).toBeGreaterThan(closeness);
  });

  test("is read again where its states are asked for", async () => {
    await readOnce(keeping, text);
    expect((await readOnce(keeping, text, text.length)).reused).toBe(0);
    expect((await readOnce(keeping, text, 60)).reused).toBe(64);
  });

  test("is what a sequence held in the end, not what it was before it forgot some of it", async () => {
    const sequence = keeping.openSequence();
    const one = text.map((token) => token + 1);
    await sequence.append(one.slice(0, 70));
    sequence.truncate(40);
    const end = one.slice(70, 140);
    await sequence.append(end);
    sequence.close();
    const held = [...one.slice(0, 40), ...end];
    const again = await readOnce(keeping, held);
    expect(again.reused).toBe(96);
    expect(cosine(again.hidden, (await readOnce(fresh, held)).hidden)).toBeGreaterThan(closeness);
    expect((await readOnce(keeping, one.slice(0, 70))).reused).toBe(64);
  });

  test("helps sequences that read at the same time too", async () => {
    const prompt = text.map((token) => token + 2);
    await readOnce(keeping, prompt);
    const endings = [11, 12, 13, 14].map((token) => prompt.concat(token));
    const together = await Promise.all(endings.map((tokens) => readOnce(keeping, tokens)));
    for (const [i, { hidden, reused }] of together.entries()) {
      expect(reused).toBe(128);
      expect(cosine(hidden, (await readOnce(fresh, endings[i]!)).hidden)).toBeGreaterThan(closeness);
    }
  });
});

describe("SmolLM2's arguments", () => {
  let model: LanguageModel;
  let sequence: Sequence;
  beforeAll(async () => {
    model = await openMember("smollm2-135m-instruct");
    sequence = model.openSequence();
    await sequence.append([0, 1, 2]);
  });
  afterAll(() => model.close());

  test.each([
    { what: "no token", tokens: [], options: {} },
    { what: "a token above the vocabulary", tokens: [49_152], options: {} },
    { what: "a negative token", tokens: [-1], options: {} },
    { what: "a broken token", tokens: [1.5], options: {} },
    { what: "more rows than tokens", tokens: [5, 6], options: { rows: 3 } },
    { what: "a tap above the last layer", tokens: [5], options: { taps: [31] } },
    { what: "a tap below the embedding", tokens: [5], options: { taps: [-1] } },
  ])("$what is a RangeError and nothing is read", async ({ tokens, options }) => {
    await expect(sequence.append(tokens, options)).rejects.toThrow(RangeError);
    expect(sequence.length).toBe(3);
  });

  test("a sequence that is reading refuses a second call", async () => {
    const first = sequence.append([5, 6]);
    await expect(sequence.append([7])).rejects.toThrow(/still reading/);
    expect(() => sequence.truncate(0)).toThrow(/still reading/);
    await first;
    expect(sequence.length).toBe(5);
  });

  test("a sequence closed while it reads refuses what it reads, and others go on", async () => {
    const closing = model.openSequence();
    const reading = closing.append(new Int32Array(600));
    closing.close();
    await expect(reading).rejects.toThrow(/closed/);
    await sequence.append([8]);
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

/** In a sequence of its own. */
async function readOnce(model: LanguageModel, tokens: readonly number[], rows = 1): Promise<HiddenStates> {
  const sequence = model.openSequence();
  try {
    return await sequence.append(tokens, { rows });
  } finally {
    sequence.close();
  }
}
