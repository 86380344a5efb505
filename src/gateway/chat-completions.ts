import type { Question } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import { askedAnswer } from "./answer-format.ts";
import { answerEvents, requireModel, usageOf, wholeAnswer } from "./answer.ts";
import { concordReport } from "./concord-report.ts";
import { callerOf } from "./caller.ts";
import type { AnswerSource, GatewayContext } from "./environment.ts";
import { readFields } from "./invalid-field.ts";
import { chatLogprobs } from "./logprobs.ts";
import { observed } from "./observation.ts";
import { readJsonObject } from "./request-body.ts";
import { chatRequest, type ChatRequest } from "./schemas.ts";
import { disconnection, streamChunks } from "./sse.ts";
import { requireStreamForOptions } from "./stream-options.ts";
import { supportedFields } from "./unsupported.ts";

/** What every object of one answer begins with. */
interface Head {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
}

/** `POST /v1/chat/completions`: one answer, whole or as a stream. */
export const chatCompletions =
  (sources: AnswerSource) =>
  async (c: GatewayContext): Promise<Response> => {
    const source = observed(sources, c);
    const body = await readJsonObject(c);
    const request = readChatRequest(body);
    requireModel(source, request.model);
    const id = c.get("requestId");
    const head: Head = { id, created: Math.floor(source.clock.now() / 1000), model: request.model };
    const abort = disconnection(c);
    const question = { ...questionOf(request, id, abort.signal), caller: callerOf(c, body) };
    if (request.stream) {
      return streamChunks(c, chunksOf(source, request, question, head), abort, source.reportFailure);
    }
    return c.json(await completionOf(source, request, question, head));
  };

function readChatRequest(body: Record<string, unknown>): ChatRequest {
  const request = readFields(chatRequest, supportedFields(body));
  requireStreamForOptions(request);
  if (request.top_logprobs !== undefined && !request.logprobs) {
    const message = "top_logprobs: expected logprobs to be true beside it. Set logprobs, or leave it out.";
    throw new GatewayError("invalid_request", message, { param: "top_logprobs" });
  }
  const { max_tokens: old, max_completion_tokens: limit } = request;
  if (old !== undefined && limit !== undefined && old !== limit) {
    const message = `max_tokens: expected one limit, got ${old} beside max_completion_tokens ${limit}. Leave one out.`;
    throw new GatewayError("invalid_request", message, { param: "max_tokens" });
  }
  return request;
}

function questionOf(request: ChatRequest, requestId: string, signal: AbortSignal): Question {
  return {
    requestId,
    model: request.model,
    endpoint: "chat.completions",
    prompt: { kind: "chat", messages: request.messages },
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? null,
    stop: request.stop,
    ...askedAnswer(request),
    topLogprobs: request.logprobs ? (request.top_logprobs ?? 0) : null,
    echo: false,
    signal,
  };
}

async function completionOf(source: AnswerSource, request: ChatRequest, question: Question, head: Head) {
  const { text, tokens, end } = await wholeAnswer(source.engine, question);
  const choice = {
    index: 0,
    message: { role: "assistant", content: text, refusal: null },
    logprobs: request.logprobs ? chatLogprobs(tokens) : null,
    finish_reason: end.finishReason,
  };
  return {
    id: head.id,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    choices: [choice],
    usage: usageOf([end]),
    concord: concordReport(end, question),
  };
}

/** The role, the text as it comes, the reason it ended, and the usage when asked for. */
async function* chunksOf(source: AnswerSource, request: ChatRequest, question: Question, head: Head) {
  const withUsage = request.stream_options?.include_usage ?? false;
  const chunk = (choice: object) => ({
    id: head.id,
    object: "chat.completion.chunk",
    created: head.created,
    model: head.model,
    choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: null, ...choice }],
    ...(withUsage ? { usage: null } : {}),
  });

  let begun = false;
  for await (const event of answerEvents(source.engine, question)) {
    if (!begun) yield chunk({ delta: { role: "assistant", content: "", refusal: null } });
    begun = true;
    if (event.type === "end") {
      yield { ...chunk({ finish_reason: event.finishReason }), concord: concordReport(event, question) };
      if (withUsage) yield { ...chunk({}), choices: [], usage: usageOf([event]) };
    } else if (event.text !== "" || (request.logprobs && event.tokens.length > 0)) {
      const logprobs = request.logprobs ? chatLogprobs(event.tokens) : null;
      yield chunk({ delta: { content: event.text }, logprobs });
    }
  }
}
