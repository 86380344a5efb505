import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LanguageModel, Sequence } from "../../src/ports/language-model.ts";
import { describeLanguageModel } from "../contracts/language-model.ts";
import { openMember } from "../open-member.ts";

// Activations are rounded to 8 bits block by block: sums in another order can round to another code.
const closeness = 0.998;

describeLanguageModel("SmolLM2 135M", { open: () => openMember("smollm2-135m-instruct"), closeness });
describeLanguageModel("Gemma 3 270M", { open: () => openMember("gemma-3-270m"), closeness });

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
