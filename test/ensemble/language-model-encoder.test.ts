import { expect, test } from "vitest";
import { createLanguageModelEncoder } from "../../src/ensemble/language-model-encoder.ts";
import { describeSentenceEncoder } from "../contracts/sentence-encoder.ts";
import { createScriptedMember } from "../scripted-member.ts";

describeSentenceEncoder("over a scripted member", {
  open: async () => {
    const model = createScriptedMember({ contextLength: 128 });
    return { encoder: createLanguageModelEncoder(model), close: () => model.close() };
  },
  tolerance: 1e-6,
});

test("is the mean of the residual stream after the document start", async () => {
  const model = createScriptedMember({ width: 3, layers: 2 });
  const { tokenizer } = model;
  const sequence = model.openSequence();
  const fed = [tokenizer.documentStart, ...tokenizer.encode("ice").ids];
  const residuals = (await sequence.append(fed, { rows: 4, taps: [1] })).taps.get(1) ?? new Float32Array();
  const mean = [0, 1, 2].map(
    (j) => ((residuals[3 + j] ?? 0) + (residuals[6 + j] ?? 0) + (residuals[9 + j] ?? 0)) / 3,
  );
  const { layers, tokens } = await createLanguageModelEncoder(model).encode(["ice"], { layers: [1] });
  expect([...tokens]).toEqual([3]);
  for (const [j, x] of (layers.get(1) ?? []).entries()) expect(x).toBeCloseTo(mean[j] ?? Number.NaN, 6);
});

test("a text without tokens is refused, naming it", async () => {
  const encoder = createLanguageModelEncoder(createScriptedMember());
  await expect(encoder.encode(["ice", ""], { layers: [1] })).rejects.toThrow(/text 1 has no tokens/);
});
