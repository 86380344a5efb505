import type { Prompt } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";

/** A prompt in the answering vocabulary. */
export interface ReadPrompt {
  /** Without the document start, which every model gets anyway. */
  readonly tokens: Int32Array;
  /** Whether the client wrote the document start itself; it is then echoed. */
  readonly startGiven: boolean;
}

/**
 * Text by the tokenizer, a chat by the model's template, token ids as they are.
 * @throws GatewayError invalid_request on an id outside the vocabulary
 */
export function readPrompt(tokenizer: Tokenizer, prompt: Prompt): ReadPrompt {
  const tokens = Int32Array.from(promptTokens(tokenizer, prompt));
  const startGiven = tokens[0] === tokenizer.documentStart;
  return { tokens: startGiven ? tokens.subarray(1) : tokens, startGiven };
}

function promptTokens(tokenizer: Tokenizer, prompt: Prompt): ArrayLike<number> {
  if (prompt.kind === "chat") return tokenizer.encode(tokenizer.renderChat(prompt.messages)).ids;
  if (prompt.kind === "text") return tokenizer.encode(prompt.text).ids;
  const size = tokenizer.vocabularySize;
  const wrong = prompt.tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= size);
  if (wrong !== undefined) {
    throw new GatewayError(
      "invalid_request",
      `prompt: expected token ids from 0 to ${size - 1} of the answering model, got ${wrong}`,
      { param: "prompt" },
    );
  }
  return prompt.tokens;
}
