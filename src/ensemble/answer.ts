import type { AnswerEvent, Question, TokenScore } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";
import { createAnswerText } from "./answer-text.ts";
import type { Prediction, Reading } from "./reading.ts";
import { topTokens } from "./sampler.ts";
import type { PositionSignals, Tally } from "./tally.ts";
import type { TokenSource } from "./token-source.ts";
import type { Tracer } from "./trace.ts";

export interface AnswerTask {
  readonly question: Question;
  readonly reading: Reading;
  /** The answering vocabulary's. */
  readonly tokenizer: Tokenizer;
  /** Texts that end the answer. */
  readonly stops: readonly string[];
  /** The most tokens the answer may have. */
  readonly maxTokens: number;
  /** How an answer of so many tokens ended: cut off, or all of it was said. */
  readonly atMost: "length" | "stop";
  readonly source: TokenSource;
  readonly tally: Tally;
  /** Absent: nothing is noted. */
  readonly tracer?: Tracer | undefined;
}

export interface AnswerOutcome {
  readonly finishReason: "stop" | "length";
  readonly completionTokens: number;
  readonly text: string;
  /** Of every token of the text (t). */
  readonly signals: readonly PositionSignals[];
}

/** Scores the prompt if asked, then draws token after token. Yields what can be sent; returns how it ended. */
export async function* generateAnswer(
  task: AnswerTask,
): AsyncGenerator<Exclude<AnswerEvent, { type: "end" }>, AnswerOutcome> {
  const { question, reading, tokenizer, tally } = task;
  if (question.echo) yield await echoPrompt(task);

  const ends = new Set(tokenizer.endTokens);
  const text = createAnswerText(task.stops);
  const signals: PositionSignals[] = [];
  let completionTokens = 0;
  let finishReason = task.atMost;
  const ask = (): Promise<Prediction | null> => nextPrediction(reading, completionTokens, question.signal);
  let asked: Promise<Prediction | null> | null = null;
  while (completionTokens < task.maxTokens) {
    const prediction = await (asked ?? ask());
    if (prediction === null) {
      finishReason = "length";
      break;
    }
    const token = task.source.draw(prediction.logprobs, prediction.known?.tops.at(-1));
    completionTokens++;
    if (ends.has(token)) {
      finishReason = "stop";
      break;
    }
    reading.accept(token);
    if (completionTokens < task.maxTokens) {
      // The members read on meanwhile. What they say is looked at in the next round, or, where the text stops, never.
      asked = ask();
      asked.catch(() => undefined);
    }
    const score = scoreOf(prediction, token, tokenizer, question.topLogprobs);
    const signal = tally.observe(prediction, token, score.bytes.length);
    signals.push(signal);
    task.tracer?.observe(prediction, score, signal);
    const { piece, stopped } = text.push(score);
    if (piece.text !== "" || piece.tokens.length > 0) yield { type: "delta", ...piece };
    if (stopped) return { finishReason: "stop", completionTokens, text: text.released, signals };
  }
  const rest = text.end();
  if (rest.text !== "" || rest.tokens.length > 0) yield { type: "delta", ...rest };
  return { finishReason, completionTokens, text: text.released, signals };
}

/** Null when a member's context is full in the middle of the answer; a prompt that does not fit is the client's error. */
async function nextPrediction(
  reading: Reading,
  completionTokens: number,
  signal: AbortSignal | undefined,
): Promise<Prediction | null> {
  if (signal?.aborted) throw new GatewayError("cancelled", "the request was cancelled");
  try {
    return await reading.next(signal);
  } catch (error) {
    const full = error instanceof GatewayError && error.code === "context_length_exceeded";
    if (full && completionTokens > 0) return null;
    throw error;
  }
}

async function echoPrompt({
  question,
  reading,
  tokenizer,
  tally,
}: AnswerTask): Promise<AnswerEvent & { type: "prompt" }> {
  const { scored, startGiven } = reading.prompt;
  const scores: TokenScore[] = [];
  if (startGiven) {
    const start = tokenizer.documentStart;
    scores.push({ token: start, bytes: tokenizer.bytes(start), logprob: null, top: [] });
  }
  let position = 0;
  for await (const prediction of reading.score(question.signal)) {
    const token = scored[position++] ?? 0;
    const score = scoreOf(prediction, token, tokenizer, question.topLogprobs);
    tally.observe(prediction, token, score.bytes.length);
    scores.push(score);
  }
  return { type: "prompt", text: tokenizer.decode(scores.map((score) => score.token)), tokens: scores };
}

function scoreOf(
  prediction: Prediction,
  token: number,
  tokenizer: Tokenizer,
  top: number | null,
): TokenScore {
  const logprob = (id: number) => prediction.logprobs[id] ?? -Infinity;
  return {
    token,
    bytes: tokenizer.bytes(token),
    logprob: logprob(token),
    top: topTokens(prediction.logprobs, top ?? 0).map((id) => ({
      token: id,
      bytes: tokenizer.bytes(id),
      logprob: logprob(id),
    })),
  };
}
