import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENCODER_IDS, findModel } from "../../adapters/node/models/manifest.ts";
import { weightPath } from "../../adapters/node/models/verify.ts";
import { openEncoder } from "../../adapters/node/open-encoder.ts";
import { concordPaths } from "../../adapters/node/paths.ts";
import type { SentenceEncoder } from "../../src/ports/sentence-encoder.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import { createEncoderTokenizer } from "../../adapters/transformers/encoder-tokenizer.ts";
import { describeSentenceEncoder } from "../contracts/sentence-encoder.ts";
import golden from "../golden/sentence-encoders.json" with { type: "json" };

const open = (id: string) => openEncoder(id, { progress: createProgressBar() });

for (const id of ENCODER_IDS) {
  describeSentenceEncoder(id, {
    open: async () => {
      const encoder = await open(id);
      return { encoder, close: () => encoder.close() };
    },
    tolerance: 1e-6,
  });
}

describe.each(Object.entries(golden.encoders))("%s as the reference runtime has it", (id, expected) => {
  let encoder: SentenceEncoder & { close(): Promise<void> };
  beforeAll(async () => {
    encoder = await open(id);
  });
  afterAll(() => encoder.close());

  test("the tokens are the reference tokenizer's", async () => {
    const model = findModel(id);
    const [, file] = model.files;
    if (!file) throw new Error(`${id} has no tokenizer in the manifest`);
    const tokenizer = createEncoderTokenizer(
      await readFile(weightPath(concordPaths().models, model, file), "utf8"),
    );
    for (const [row, text] of golden.texts.entries()) {
      expect([...tokenizer.encode(expected.prefix + text)]).toEqual(expected.rows[row]?.ids);
    }
  });

  test("every layer's pooled state is the reference's", async () => {
    expect(encoder.info.layers).toBe(expected.layers);
    const layers = Array.from({ length: expected.layers + 1 }, (_, layer) => layer);
    const states = await encoder.encode(golden.texts, { layers });
    const { width } = encoder.info;
    for (const layer of layers) {
      for (const [row, { first, norms }] of expected.rows.entries()) {
        const found = states.layers.get(layer)?.subarray(row * width, (row + 1) * width) ?? [];
        const norm = Math.hypot(...found);
        const wanted = norms[layer] ?? 0;
        // Builds of the runtime round int8 products differently: a step of the quantiser, not a different state.
        expect(Math.abs(norm - wanted) / wanted).toBeLessThan(0.01);
        for (const [j, value] of (first[layer] ?? []).entries()) {
          expect(Math.abs((found[j] ?? Number.NaN) - value) / wanted).toBeLessThan(0.01);
        }
      }
    }
  });
});
