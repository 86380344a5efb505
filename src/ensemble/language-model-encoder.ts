import type { LanguageModel } from "../ports/language-model.ts";
import type { SentenceEncoder } from "../ports/sentence-encoder.ts";

/**
 * Sentence states of a causal model: the mean of the residual stream over the text's tokens, x̄ = (1/t) Σ_i r_l(i).
 * The document start, which stands first, is read but not in the mean: its massive activations say nothing of the text
 * (Sun et al. 2024).
 */
export function createLanguageModelEncoder(
  model: Pick<LanguageModel, "info" | "tokenizer" | "openSequence">,
): SentenceEncoder {
  const { info, tokenizer } = model;
  const { id, width } = info;
  return {
    info,
    async encode(texts, { layers, signal }) {
      checkLayers(info, layers);
      const pooled = new Map(layers.map((layer) => [layer, new Float32Array(texts.length * width)]));
      const tokens = new Int32Array(texts.length);
      const sequence = model.openSequence();
      try {
        for (const [row, text] of texts.entries()) {
          const { ids } = tokenizer.encode(text);
          if (ids.length === 0) throw new RangeError(`${id} encode: text ${row} has no tokens`);
          sequence.truncate(0);
          const fed = Int32Array.of(tokenizer.documentStart, ...ids);
          const { taps } = await sequence.append(fed, { rows: ids.length, taps: layers, signal });
          for (const [layer, mean] of pooled) {
            meanOfRows(mean.subarray(row * width, (row + 1) * width), taps.get(layer) ?? mean);
          }
          tokens[row] = ids.length;
        }
      } finally {
        sequence.close();
      }
      return { layers: pooled, tokens };
    },
  };
}

/** @throws RangeError for no layers, or one that the model has not */
export function checkLayers({ id, layers: last }: SentenceEncoder["info"], layers: readonly number[]): void {
  const wrong = layers.find((layer) => !Number.isInteger(layer) || layer < 0 || layer > last);
  if (layers.length === 0 || wrong !== undefined) {
    throw new RangeError(`${id} encode: expected layers from 0 to ${last}, got ${wrong ?? "none"}`);
  }
}

/** `target` (d) becomes the mean of `rows`, row-major (t, d). */
function meanOfRows(target: Float32Array, rows: Float32Array): void {
  const width = target.length;
  const sums = new Float64Array(width);
  for (let at = 0; at < rows.length; at += width) {
    for (let j = 0; j < width; j++) sums[j] = (sums[j] ?? 0) + (rows[at + j] ?? 0);
  }
  const count = rows.length / width;
  for (let j = 0; j < width; j++) target[j] = (sums[j] ?? 0) / count;
}
