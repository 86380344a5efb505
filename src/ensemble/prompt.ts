import type { Prompt } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";

/** A prompt in the answering vocabulary. */
export interface ReadPrompt {
  /** What every model reads in its own form, and nobody scores: a chat by its template. Without the document start. */
  readonly context: Int32Array;
  /** Tokens of the text that is the same for every model, after the context: all of a text, the answer of a chat. */
  readonly scored: Int32Array;
  /** Whether the client wrote the document start itself; it is then echoed. */
  readonly startGiven: boolean;
}

/**
 * Text by the tokenizer, a chat by the model's template, token ids as they are.
 * @throws GatewayError invalid_request on an id outside the vocabulary
 */
export function readPrompt(tokenizer: Tokenizer, prompt: Prompt): ReadPrompt {
  const [context, scored] = promptTokens(tokenizer, prompt);
  const startGiven = (context[0] ?? scored[0]) === tokenizer.documentStart;
  if (!startGiven) return { context, scored, startGiven };
  return context.length > 0
    ? { context: context.subarray(1), scored, startGiven }
    : { context, scored: scored.subarray(1), startGiven };
}

/** The text before what is scored, in the form that this model reads. */
export function contextText(tokenizer: Tokenizer, prompt: Prompt): string {
  return prompt.kind === "chat" ? tokenizer.renderChat(prompt.messages) : "";
}

function promptTokens(tokenizer: Tokenizer, prompt: Prompt): [context: Int32Array, scored: Int32Array] {
  if (prompt.kind === "tokens") return [new Int32Array(0), checkedTokens(tokenizer, prompt.tokens)];
  const text = prompt.kind === "chat" ? (prompt.answer ?? "") : prompt.text;
  return [tokenizer.encode(contextText(tokenizer, prompt)).ids, tokenizer.encode(text).ids];
}

function checkedTokens({ vocabularySize: size }: Tokenizer, tokens: readonly number[]): Int32Array {
  const wrong = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= size);
  if (wrong !== undefined) {
    throw new GatewayError(
      "invalid_request",
      `prompt: expected token ids from 0 to ${size - 1} of the answering model, got ${wrong}`,
      { param: "prompt" },
    );
  }
  return Int32Array.from(tokens);
}
