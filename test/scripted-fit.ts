import type { MatrixProduct } from "../src/alignment/decoder-matrix.ts";
import type { FitMember } from "../src/ensemble/decoder-rows.ts";
import type { CorpusDocument } from "../src/ensemble/corpus.ts";
import { matrixFrom } from "../src/linalg/matrix.ts";
import type { OwnTokens } from "../src/alignment/shared-space.ts";
import { multiplyNT } from "../src/linalg/product.ts";
import type { LanguageModel } from "../src/ports/language-model.ts";
import { createScriptedMember } from "./scripted-member.ts";

/** What a fit of scripted members needs. */

export const multiply: MatrixProduct = async (a, b, depth) =>
  Float32Array.from(
    multiplyNT(matrixFrom(a.length / depth, depth, a), matrixFrom(b.length / depth, depth, b)).data,
  );

/** Of a member with the anchor's V tokens and none of its own. */
export function noOwnTokens(vocabularySize: number): OwnTokens {
  return {
    ids: new Int32Array(0),
    begins: new Int32Array(0),
    firstRow: vocabularySize,
    hosts: new Int32Array(vocabularySize).fill(-1),
  };
}

/** Three of them, of widths 16, 24 and 8. */
export function createScriptedMembers(): LanguageModel[] {
  return [16, 24, 8].map((width, m) => createScriptedMember({ id: `member-${m}`, seed: m + 1, width }));
}

/** A scripted member's head is linear: its rows are what it gives for the unit vectors. */
export function fitMember(model: LanguageModel): FitMember {
  return {
    model,
    async outputRows(tokens) {
      const { width } = model.info;
      const units = Float32Array.from({ length: width * width }, (_, at) => (at % (width + 1) === 0 ? 1 : 0));
      const columns = await model.head.decode(units);
      const rows = new Float32Array(tokens.length * width);
      for (const [i, token] of tokens.entries()) {
        if (token < 0) continue;
        for (let j = 0; j < width; j++)
          rows[i * width + j] = columns[j * model.head.vocabularySize + token] ?? 0;
      }
      return rows;
    },
    continuations: null,
  };
}

export const textDocument = (text: string): CorpusDocument => ({
  domain: "text",
  source: text,
  passages: [{ kind: "text", text }],
});

/** Documents to fit on. */
export const fitDocuments = [
  "the cat sat on the mat.",
  "a dog ran far away!",
  "we ate 12 figs; they ate 7.",
  "Où est-il?",
].map((text) => textDocument(text.repeat(4)));
