import { defineByteLevelVocabulary } from "./byte-level-vocabulary.ts";
import type { Metadata } from "./metadata.ts";
import { defineScoredVocabulary } from "./scored-vocabulary.ts";
import {
  tokenTypes,
  type AddedToken,
  type TokenizerConfig,
  type TokenizerJson,
  type VocabularyDefinition,
} from "./tokenizer-json.ts";

export interface TokenizerDefinition {
  readonly json: TokenizerJson;
  readonly config: TokenizerConfig;
  readonly vocabulary: VocabularyDefinition;
  readonly endTokens: readonly number[];
  readonly specialTokens: ReadonlySet<number>;
}

/** Tokens that end a text or a turn, by their written form; the file's own end token is not always all of them. */
const endTokens = new Set(["<|im_end|>", "<|endoftext|>", "<end_of_turn>"]);

/** Types of tokens that are not text. */
const specialTypes = new Set<number>([tokenTypes.control, tokenTypes.unknown]);

/**
 * The tokenizer a weight file describes, in the form the Hugging Face tokenizers read.
 * @throws Error when the file's tokenizer is of another kind than SmolLM2's or Gemma 3's
 */
export function defineTokenizer(metadata: Metadata): TokenizerDefinition {
  const types = metadata.numbers("tokenizer.ggml.token_type");
  const vocabulary = defineVocabulary(metadata, types);
  const { tokens } = vocabulary;
  if (types.length !== tokens.length) {
    throw new Error(`tokenizer: expected a type for each of ${tokens.length} tokens, got ${types.length}`);
  }
  const added = addedTokens(tokens, types);
  checkAddedTokens(added);
  const tokenOf = (key: string): string => {
    const id = metadata.number(key);
    const token = tokens[id];
    if (token === undefined)
      throw new Error(`metadata ${key}: expected an id below ${tokens.length}, got ${id}`);
    return token;
  };
  const eos = tokenOf("tokenizer.ggml.eos_token_id");
  const template = "tokenizer.chat_template";
  return {
    json: {
      version: "1.0",
      added_tokens: added,
      normalizer: vocabulary.normalizer,
      pre_tokenizer: vocabulary.pre_tokenizer,
      post_processor: null,
      decoder: null,
      model: vocabulary.model,
    },
    config: {
      tokenizer_class: "PreTrainedTokenizer",
      bos_token: tokenOf("tokenizer.ggml.bos_token_id"),
      eos_token: eos,
      ...(metadata.has(template) ? { chat_template: metadata.string(template) } : {}),
    },
    vocabulary,
    endTokens: added.filter(({ content }) => content === eos || endTokens.has(content)).map(({ id }) => id),
    specialTokens: new Set(added.filter(({ special }) => special).map(({ id }) => id)),
  };
}

function defineVocabulary(metadata: Metadata, types: readonly number[]): VocabularyDefinition {
  const kind = metadata.string("tokenizer.ggml.model");
  if (kind === "gpt2") return defineByteLevelVocabulary(metadata, types);
  if (kind === "llama") return defineScoredVocabulary(metadata, types);
  throw new Error(
    `tokenizer: expected tokenizer.ggml.model gpt2 (byte-level BPE) or llama (scored BPE), got "${kind}"; ` +
      "a model with this tokenizer cannot be a member",
  );
}

/** Control and user-defined tokens: both are found in the text as written, only the first are not text themselves. */
function addedTokens(tokens: readonly string[], types: readonly number[]): AddedToken[] {
  return tokens.flatMap((content, id) => {
    const type = types[id] ?? tokenTypes.normal;
    const special = specialTypes.has(type);
    if (!special && type !== tokenTypes.userDefined) return [];
    return [{ id, content, special, normalized: false, single_word: false, lstrip: false, rstrip: false }];
  });
}

/** The port promises that a text may be cut before white space; an added token across such a cut would break that. */
function checkAddedTokens(added: readonly AddedToken[]): void {
  const broken = added.find(({ content }) => /\S\s/u.test(content));
  if (!broken) return;
  throw new Error(
    `tokenizer: expected no white space inside an added token, got ${JSON.stringify(broken.content)}`,
  );
}
