import { DEFAULT_CORPUS, readCorpus } from "../../adapters/node/corpus-files.ts";
import { openFileBytes } from "../../adapters/node/file-bytes.ts";
import { createTokenizer } from "../../adapters/transformers/tokenizer.ts";
import { passageText } from "../../src/ensemble/corpus.ts";
import { createRandom } from "../../src/linalg/random.ts";
import type { Tokenizer } from "../../src/ports/tokenizer.ts";
import { openGguf } from "../../src/weights/gguf.ts";

/** English text in pieces of a given length, no two of which begin alike: nothing read before helps to read one. */
export interface Passages {
  /** The next so many pieces of `tokens` tokens of the anchor, the document start left out. */
  take(tokens: number, count: number): string[];
}

/** English has some 4.5 characters a token; what is too much is cut. */
const MOST_CHARACTERS_A_TOKEN = 12;

/** @param weights the anchor's GGUF file */
export async function openPassages(weights: string, seed: number): Promise<Passages> {
  const file = await openFileBytes(weights);
  try {
    const tokenizer = createTokenizer((await openGguf(file)).metadata);
    const { documents } = await readCorpus(DEFAULT_CORPUS.slice(0, 1));
    const text = documents.flatMap(({ passages }) => passages.map(passageText)).join("\n");
    return createPassages(tokenizer, text, seed);
  } finally {
    await file.close();
  }
}

export function createPassages(tokenizer: Tokenizer, text: string, seed: number): Passages {
  const random = createRandom(seed);
  const round = `${text}\n`;
  function take(tokens: number): string {
    const length = tokens * MOST_CHARACTERS_A_TOKEN;
    const around = round.repeat(Math.ceil((length + round.length) / round.length) + 1);
    const from = around.indexOf(" ", random.integer(round.length)) + 1;
    const piece = around.slice(from, from + length);
    const end = tokenizer.encode(piece).ends[tokens - 1];
    if (end === undefined) throw new Error(`the text is too short for a passage of ${tokens} tokens`);
    return Buffer.from(piece).subarray(0, end).toString("utf8");
  }
  return { take: (tokens, count) => Array.from({ length: count }, () => take(tokens)) };
}
