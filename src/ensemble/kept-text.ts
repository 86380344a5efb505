import type { LogRecord } from "../ports/agreement-log.ts";
import type { Prompt } from "../ports/engine.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";

/** Text as it may be kept; null where nothing of it may. */
export type Redactor = (text: string) => string | null;

/** What the log keeps of an answer's text. */
export interface KeptText {
  /** Null where a redactor allows nothing of a part. */
  readonly text: LogRecord["text"];
  /** Whether nothing was taken away. */
  readonly whole: boolean;
}

/** A chat is kept as the JSON of its messages, whose contents are redacted one by one. @param tokenizer of a prompt of ids */
export function keptText(prompt: Prompt, answer: string, tokenizer: Tokenizer, redact: Redactor): KeptText {
  const redacted = { prompt: promptText(prompt, tokenizer, redact), answer: redact(answer) };
  if (redacted.prompt === null || redacted.answer === null) return { text: null, whole: false };
  const text = { prompt: redacted.prompt, answer: redacted.answer };
  const untouched = promptText(prompt, tokenizer, (part) => part);
  return { text, whole: text.prompt === untouched && text.answer === answer };
}

function promptText(prompt: Prompt, tokenizer: Tokenizer, redact: Redactor): string | null {
  if (prompt.kind === "text") return redact(prompt.text);
  if (prompt.kind === "tokens") return redact(tokenizer.decode(prompt.tokens));
  const messages = prompt.messages.map((message) => ({ ...message, content: redact(message.content) }));
  return messages.some(({ content }) => content === null) ? null : JSON.stringify(messages);
}
