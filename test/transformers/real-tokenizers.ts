import * as fc from "fast-check";
import { openFileBytes } from "../../adapters/node/file-bytes.ts";
import { createTokenizer } from "../../adapters/transformers/tokenizer.ts";
import type { Tokenizer } from "../../src/ports/tokenizer.ts";
import { openGguf } from "../../src/weights/gguf.ts";
import { weightFile } from "../installed-models.ts";

/** The tokenizer of an installed model. */
export async function openTokenizer(id: string): Promise<Tokenizer> {
  const bytes = await openFileBytes(weightFile(id));
  try {
    const { metadata } = await openGguf(bytes);
    return createTokenizer(metadata);
  } finally {
    await bytes.close();
  }
}

export const smollm2 = await openTokenizer("smollm2-135m-instruct");
export const gemma3 = await openTokenizer("gemma-3-270m");

/** What tokenizers stumble over: white space of all kinds, marks written out, halves of characters, left-out bytes. */
const nasty = [
  [" ", "  ", "\t", "\n", "\n\n", "\r\n", "\r", "\u00a0", "\u0085", "\u3000", "\ufeff", "\u200b", "\u2028"],
  ["\u2581", "\u2581\u2581", ">", "</", "<", "> </", "<b>", "</td>", "<0x41>", "<bos>", "<unused7>"],
  ["<|im_end|>", "<|im_", "end|>", "<|endoftext|>", "<end_of_", "turn>", "[multimodal]"],
  [
    "\ud83d",
    "\ude00",
    "\u{1f469}\u200d\u{1f4bb}",
    "\u0301",
    "\u4e16\u754c",
    "\u0e2a",
    "\u{40000}",
    "\u{80000}",
  ],
  [
    "\u0000",
    "\u0004",
    "\u0006",
    "\u001d",
    "a",
    "the",
    "The",
    "ing",
    "'s",
    "'",
    "!",
    "!!",
    "_",
    "1",
    "23",
    "\u00b2",
  ],
].flat();

/** Texts of nasty pieces and of any characters. */
export const nastyText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { arbitrary: fc.constantFrom(...nasty), weight: 6 },
      { arbitrary: fc.string({ maxLength: 4 }), weight: 1 },
      { arbitrary: fc.string({ unit: "binary", maxLength: 3 }), weight: 1 },
    ),
    { maxLength: 24 },
  )
  .map((pieces) => pieces.join(""));
