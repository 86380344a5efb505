import type { AnswerEvent, Engine, Question, TokenScore } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { ModelSources } from "./environment.ts";
import { describe } from "./invalid-field.ts";

export type AnswerEnd = Extract<AnswerEvent, { type: "end" }>;

/** An answer that is over. */
export interface WholeAnswer {
  /** With echo, the prompt's text first. */
  readonly text: string;
  readonly tokens: readonly TokenScore[];
  readonly end: AnswerEnd;
}

/** @throws GatewayError unknown_model when no card has this name, unsupported when only the embedder's has */
export function requireModel({ engine, embedder }: ModelSources, name: string): void {
  const known = engine.models().map((card) => card.id);
  if (known.includes(name)) return;
  if (embedder?.models().some((card) => card.id === name)) {
    const message = `The model ${describe(name)} gives embeddings alone: ask it at /v1/embeddings, or one of ${known.join(", ")} here.`;
    throw new GatewayError("unsupported", message, { param: "model" });
  }
  const message = `The model ${describe(name)} does not exist: expected one of ${known.join(", ")}.`;
  throw new GatewayError("unknown_model", message, { param: "model" });
}

/** The engine's events up to its `end`. @throws Error when they stop before it */
export async function* answerEvents(engine: Engine, question: Question): AsyncGenerator<AnswerEvent> {
  for await (const event of engine.answer(question)) {
    yield event;
    if (event.type === "end") return;
  }
  throw new Error(`the engine's answer to ${question.requestId} stopped without an end event`);
}

export async function wholeAnswer(engine: Engine, question: Question): Promise<WholeAnswer> {
  const texts: string[] = [];
  const tokens: TokenScore[] = [];
  for await (const event of answerEvents(engine, question)) {
    if (event.type === "end") return { text: texts.join(""), tokens, end: event };
    texts.push(event.text);
    for (const token of event.tokens) tokens.push(token);
  }
  throw new Error(`the engine's answer to ${question.requestId} was not read to its end`);
}

/** OpenAI's `usage` over the answers to one request. */
export function usageOf(ends: readonly AnswerEnd[]) {
  const promptTokens = ends.reduce((sum, end) => sum + end.usage.promptTokens, 0);
  const completionTokens = ends.reduce((sum, end) => sum + end.usage.completionTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: {
      cached_tokens: ends.reduce((sum, end) => sum + (end.usage.cachedTokens ?? 0), 0),
    },
  };
}
