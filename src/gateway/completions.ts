import type { Prompt, Question } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import { askedAnswer } from "./answer-format.ts";
import {
  answerEvents,
  requireModel,
  usageOf,
  wholeAnswer,
  type AnswerEnd,
  type WholeAnswer,
} from "./answer.ts";
import { concordReport } from "./concord-report.ts";
import { callerOf } from "./caller.ts";
import type { AnswerSource, GatewayContext } from "./environment.ts";
import { readFields } from "./invalid-field.ts";
import { createCompletionLogprobs } from "./logprobs.ts";
import { observed } from "./observation.ts";
import { readJsonObject } from "./request-body.ts";
import { COMPLETION_TOKENS, completionRequest, type CompletionRequest } from "./schemas.ts";
import { disconnection, streamChunks } from "./sse.ts";
import { requireStreamForOptions } from "./stream-options.ts";
import { supportedFields } from "./unsupported.ts";

/** What every object of one answer begins with. */
interface Head {
  readonly id: string;
  readonly object: "text_completion";
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
}

/** `POST /v1/completions`: one choice per prompt, in the prompts' order, whole or as a stream. */
export const completions =
  (sources: AnswerSource) =>
  async (c: GatewayContext): Promise<Response> => {
    const source = observed(sources, c);
    const body = await readJsonObject(c);
    const request = readCompletionRequest(body);
    requireModel(source, request.model);
    const id = c.get("requestId");
    const created = Math.floor(source.clock.now() / 1000);
    const head: Head = { id, object: "text_completion", created, model: request.model };
    const abort = disconnection(c);
    const asked = { caller: callerOf(c, body), signal: abort.signal };
    const questions = request.prompt.map((prompt, index) =>
      questionOf(request, prompt, request.prompt.length === 1 ? id : `${id}-${index}`, asked),
    );
    if (request.stream) {
      return streamChunks(c, chunksOf(source, request, questions, head), abort, source.reportFailure);
    }
    return c.json(await completionOf(source, request, questions, head));
  };

function readCompletionRequest(body: Record<string, unknown>): CompletionRequest {
  const request = readFields(completionRequest, supportedFields(body));
  requireStreamForOptions(request);
  if (request.max_tokens === 0 && !request.echo) {
    const message = "max_tokens: expected at least 1, or echo to be true beside 0, got 0.";
    throw new GatewayError("invalid_request", message, { param: "max_tokens" });
  }
  return request;
}

function questionOf(
  request: CompletionRequest,
  prompt: Prompt,
  requestId: string,
  from: Pick<Question, "caller" | "signal">,
): Question {
  const asked = askedAnswer(request);
  const free = asked.choices === undefined ? COMPLETION_TOKENS : null;
  return {
    requestId,
    model: request.model,
    endpoint: "completions",
    prompt,
    maxTokens: request.max_tokens ?? free,
    stop: request.stop,
    ...asked,
    topLogprobs: request.logprobs ?? null,
    echo: request.echo,
    ...from,
  };
}

/**
 * Where the report of an answer goes: on the object when it holds the only answer, as for a chat;
 * on its choice when there are several.
 */
function placeReport(end: AnswerEnd, index: number, questions: readonly Question[]) {
  const concord = concordReport(end, questions[index]);
  return questions.length === 1
    ? { onObject: { concord }, onChoice: {} }
    : { onObject: {}, onChoice: { concord } };
}

async function completionOf(
  source: AnswerSource,
  request: CompletionRequest,
  questions: readonly Question[],
  head: Head,
) {
  const answers: WholeAnswer[] = [];
  // One after the other: the members are as busy with one answer as with several.
  for (const question of questions) answers.push(await wholeAnswer(source.engine, question));
  const choices = answers.map(({ text, tokens, end }, index) => ({
    index,
    text,
    logprobs: request.logprobs === undefined ? null : createCompletionLogprobs()(tokens),
    finish_reason: end.finishReason,
    ...placeReport(end, index, questions).onChoice,
  }));
  const ends = answers.map((answer) => answer.end);
  const onObject = ends.map((end, index) => placeReport(end, index, questions).onObject)[0];
  return { ...head, choices, usage: usageOf(ends), ...onObject };
}

/** Choice after choice: the text as it comes (with echo the prompt first) and the reason it ended; then the usage when asked for. */
async function* chunksOf(
  source: AnswerSource,
  request: CompletionRequest,
  questions: readonly Question[],
  head: Head,
) {
  const withUsage = request.stream_options?.include_usage ?? false;
  const chunk = (choice: object) => ({
    ...head,
    choices: [{ text: "", logprobs: null, finish_reason: null, ...choice }],
    ...(withUsage ? { usage: null } : {}),
  });

  const ends: AnswerEnd[] = [];
  for (const [index, question] of questions.entries()) {
    const logprobsOf = createCompletionLogprobs();
    for await (const event of answerEvents(source.engine, question)) {
      if (event.type === "end") {
        ends.push(event);
        const { onObject, onChoice } = placeReport(event, index, questions);
        yield { ...chunk({ index, finish_reason: event.finishReason, ...onChoice }), ...onObject };
      } else if (event.text !== "" || (request.logprobs !== undefined && event.tokens.length > 0)) {
        const logprobs = request.logprobs === undefined ? null : logprobsOf(event.tokens);
        yield chunk({ index, text: event.text, logprobs });
      }
    }
  }
  if (withUsage) yield { ...chunk({}), choices: [], usage: usageOf(ends) };
}
