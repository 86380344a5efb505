/** A token that is cut out of the text as written, before anything else happens to it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: false;
  readonly single_word: false;
  readonly lstrip: false;
  readonly rstrip: false;
}

/** The parts of `tokenizer.json` that the Hugging Face tokenizers read. */
export interface TokenizerJson {
  readonly version: "1.0";
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: Step | null;
  readonly pre_tokenizer: Step | null;
  readonly post_processor: null;
  readonly decoder: null;
  readonly model: {
    readonly type: "BPE";
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly [string, string])[];
    readonly unk_token: string | null;
    readonly fuse_unk: boolean;
    readonly byte_fallback: boolean;
  };
}

/** One normaliser or pre-tokeniser, with its settings. */
export interface Step {
  readonly type: string;
  readonly [setting: string]: unknown;
}

/** The parts of `tokenizer_config.json` that the library reads. */
export interface TokenizerConfig {
  readonly tokenizer_class: "PreTrainedTokenizer";
  readonly bos_token: string;
  readonly eos_token: string;
  readonly chat_template?: string;
}

/**
 * Priority of joining two tokens into the token `merged`, lowest first, a whole number; `leftLength` is the left
 * one's length in UTF-16 units.
 */
export type MergeRank = (merged: number, leftLength: number) => number;

/** What one kind of vocabulary decides for itself. */
export interface VocabularyDefinition extends Pick<TokenizerJson, "normalizer" | "pre_tokenizer" | "model"> {
  /** Token strings by id, as the library sees them. */
  readonly tokens: readonly string[];
  /** For a file that gives scores in place of merges; `model.merges` is then empty. */
  readonly mergeRank: MergeRank | null;
  readonly documentStart: number;
  /** The UTF-8 bytes a token stands for; those of its written form for an added one. */
  bytes(token: number): Uint8Array;
  /** Bytes that no token holds; the tokenizer leaves them out. */
  readonly missingBytes: ReadonlySet<number>;
}

/** `tokenizer.ggml.token_type` by its numbers in the GGUF specification. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
