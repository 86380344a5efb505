import { PreTrainedTokenizer } from "@xenova/transformers";
import { z } from "zod";

/** Texts to an encoder's tokens. */
export interface EncoderTokenizer {
  /** Token ids (t) of a text, with what the model reads around it: [CLS] … [SEP]. */
  encode(text: string): Int32Array;
}

const definition = z.looseObject({ model: z.looseObject({ type: z.literal("WordPiece") }) });

/** The special tokens have the same names in every WordPiece encoder; the library wants to be told. */
const CONFIG = {
  tokenizer_class: "BertTokenizer",
  unk_token: "[UNK]",
  sep_token: "[SEP]",
  pad_token: "[PAD]",
  cls_token: "[CLS]",
  mask_token: "[MASK]",
} as const;

/**
 * The tokenizer of a sentence encoder, run by Hugging Face's library. Padding and truncation that the file asks for are
 * left out: a text is read whole or not at all.
 * @param json the text of a `tokenizer.json`
 * @throws Error when it is of another kind than WordPiece
 */
export function createEncoderTokenizer(json: string): EncoderTokenizer {
  const parsed = definition.safeParse(parseJson(json));
  if (!parsed.success) {
    throw new Error("tokenizer.json: expected a WordPiece tokenizer, got something else");
  }
  const library = new PreTrainedTokenizer({ ...parsed.data, padding: null, truncation: null }, CONFIG);
  return { encode: (text) => Int32Array.from(library.encode(text)) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("tokenizer.json: expected JSON, got something else", { cause });
  }
}
