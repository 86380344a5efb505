export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** Tokens of a text and where each one ends. */
export interface Encoding {
  /** Token ids (t). */
  readonly ids: Int32Array;
  /** `ends[i]` is the offset, in UTF-8 bytes of the encoded text, at which token i ends (t). Never decreases. */
  readonly ends: Int32Array;
}

export interface Tokenizer {
  readonly vocabularySize: number;
  /** The token that stands before the first token of a document. */
  readonly documentStart: number;
  /** Tokens that end an answer. */
  readonly endTokens: readonly number[];
  /** Tokens that are not text: controls, turn marks, padding. */
  readonly specialTokens: ReadonlySet<number>;
  /**
   * The canonical tokens of `text`, without the document start. Special tokens written out in the text are recognised.
   * A text may be read in parts: cut before a space, tab or line feed that follows a character other than white
   * space, `>` and U+2581, the tokens of the parts are the tokens of the whole.
   */
  encode(text: string): Encoding;
  /** The UTF-8 bytes one token stands for; may be a part of a character. A special token's bytes are its written form. */
  bytes(token: number): Uint8Array;
  /** Tokens to text; special tokens in their written form; broken UTF-8 becomes U+FFFD. */
  decode(tokens: Iterable<number>): string;
  /**
   * The prompt text after which the assistant's answer begins, by the model's own template, or as a plain
   * transcript for a model that has none.
   * @throws GatewayError invalid_request when the template refuses the messages
   */
  renderChat(messages: readonly ChatMessage[]): string;
  /** Texts at which a chat answer is over besides the end tokens (a transcript's next turn); usually none. */
  readonly chatStops: readonly string[];
}
