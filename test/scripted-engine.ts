import type {
  AnswerEvent,
  AnswerReport,
  Engine,
  ModelCard,
  Question,
  TokenScore,
} from "../src/ports/engine.ts";
import { GatewayError } from "../src/ports/gateway-error.ts";

/** What a scripted engine answers to one question. */
export type Script = (question: Question) => AsyncIterable<AnswerEvent> | Iterable<AnswerEvent>;

export interface ScriptedEngine extends Engine {
  /** Every question asked so far. */
  readonly questions: readonly Question[];
}

export const scriptedCard: ModelCard = {
  id: "concord",
  created: 1_700_000_000,
  ownedBy: "concord",
  contextLength: 2048,
};

/** An engine that answers by a script, by default with `greeting`. */
export function createScriptedEngine(script: Script = greeting): ScriptedEngine {
  const questions: Question[] = [];
  return {
    questions,
    models: () => [scriptedCard, { ...scriptedCard, id: "smollm2-135m-instruct" }],
    async *answer(question) {
      questions.push(question);
      yield* script(question);
    },
  };
}

const encoder = new TextEncoder();

/** A scored token; its bytes from a text, or given when they are a part of a character. */
export function scored(
  piece: string | readonly number[],
  logprob: number | null = -0.5,
  top: TokenScore["top"] = [],
): TokenScore {
  const bytes = typeof piece === "string" ? encoder.encode(piece) : Uint8Array.from(piece);
  return { token: bytes[0] ?? 0, bytes, logprob, top };
}

export const alternative = (
  piece: string | readonly number[],
  logprob: number,
): TokenScore["top"][number] => {
  const { token, bytes } = scored(piece, logprob);
  return { token, bytes, logprob };
};

export function scriptedReport(question: Question): AnswerReport {
  return {
    requestId: question.requestId,
    answeredBy: question.model,
    agreement: { positions: 2, jsDivergence: 0.25, top1Agreement: 0.5, stateDistance: 0.75 },
    members: [
      {
        id: "smollm2-135m-instruct",
        weight: 0.5,
        bitsPerByte: 1.5,
        top1Agreement: 1,
        entropy: 2,
        latencyMs: 12,
      },
      {
        id: "gemma-3-270m",
        weight: 0.5,
        bitsPerByte: null,
        top1Agreement: null,
        entropy: null,
        latencyMs: 7,
        abstained: { positions: 1, reason: "scripted" },
      },
    ],
    bitsPerByte: 1.25,
    entropy: 1.75,
  };
}

export const ending = (
  question: Question,
  finishReason: "stop" | "length" = "stop",
  promptTokens = 3,
  completionTokens = 2,
): AnswerEvent => ({
  type: "end",
  finishReason,
  usage: { promptTokens, completionTokens },
  report: scriptedReport(question),
  confidence: { value: null, reason: "scripted" },
  ...(question.choices !== undefined && {
    choices: {
      chosen: 0,
      probabilities: question.choices.map((_, c) => (c === 0 ? 1 : 0)),
      predictionSet: null,
    },
  }),
});

/** " Hi there", after the prompt's two tokens "Say" and " it" when it is echoed. */
export function* greeting(question: Question): Generator<AnswerEvent> {
  if (question.echo) {
    const tokens = [
      scored("Say", null),
      scored(" it", -1, [alternative(" so", -0.25), alternative(" it", -1)]),
    ];
    yield { type: "prompt", text: "Say it", tokens };
  }
  const tokens = [
    scored(" Hi", -0.5, [alternative(" Hi", -0.5), alternative(" Yo", -1.5)]),
    scored(" there", -2, [alternative(" you", -0.75), alternative(" all", -Infinity)]),
  ];
  yield { type: "delta", text: " Hi", tokens: tokens.slice(0, 1) };
  yield { type: "delta", text: " there", tokens: tokens.slice(1) };
  yield ending(question);
}

/** Answers with one word after another until the question is aborted, `pauseMs` apart. */
export async function* endless(question: Question, pauseMs = 5): AsyncGenerator<AnswerEvent> {
  for (;;) {
    if (question.signal?.aborted === true) throw new GatewayError("cancelled", "The answer was cancelled.");
    yield { type: "delta", text: " on", tokens: [scored(" on")] };
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Fails before the first event. */
export const failing =
  (error: Error): Script =>
  () => ({
    [Symbol.iterator]: () => ({
      next: () => {
        throw error;
      },
    }),
  });
