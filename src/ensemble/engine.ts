import { createRandom } from "../linalg/random.ts";
import type { AgreementLog } from "../ports/agreement-log.ts";
import type { Clock } from "../ports/clock.ts";
import type { AnswerEvent, AnswerReport, Engine, ModelCard, Question } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { generateAnswer } from "./answer.ts";
import type { Ensemble } from "./ensemble.ts";
import { createFusedReading } from "./fused-reading.ts";
import type { Reading } from "./reading.ts";
import { routeOf } from "./route.ts";
import { createSingleReading } from "./single-reading.ts";
import { createTally } from "./tally.ts";
import type { TalliedMember } from "./tally.ts";

/** The name of the ensemble in the API. */
export const ENSEMBLE_ID = "concord";

export interface EngineOptions {
  readonly ensemble: Ensemble;
  readonly log: AgreementLog;
  readonly clock: Clock;
  /** Whether prompts and answers are kept in the log. */
  readonly keepText: boolean;
  /** The members without which nothing is fused; 1 to m. Default 1. */
  readonly quorum?: number | undefined;
}

/**
 * Answers as the ensemble or as any one member, and logs every finished answer before its end is told. The ensemble
 * leaves plain texts that its anchor's vocabulary is unfit for to one follower, see `routeOf`. Where members are lost
 * it goes on with the others; a member that answers alone cannot be replaced once its answer has begun.
 */
export function createEngine({ ensemble, log, clock, keepText, quorum = 1 }: EngineOptions): Engine {
  const answerers = new Map<string, Answerer>([[ENSEMBLE_ID, ensembleAnswerer(ensemble, clock, quorum)]]);
  for (const member of ensemble.members) answerers.set(member.info.id, memberAnswerer(member, clock));
  const created = Math.floor(clock.now() / 1000);

  /** The member that the ensemble leaves the question to. Ids in a bias are the anchor's: such an answer is fused. */
  function loneAnswerer({ prompt, sampling }: Question): Answerer | null {
    const taken = sampling.logitBias.size === 0 ? routeOf(ensemble, prompt) : null;
    const member = taken && answerers.get(taken.member);
    return member ? { ...member, notFused: taken.reason } : null;
  }

  return {
    models: () =>
      [...answerers].map(([id, { contextLength }]): ModelCard => ({
        id,
        created,
        ownedBy: "concord",
        contextLength,
      })),
    async *answer(question) {
      const named = answerers.get(question.model);
      if (named === undefined) throw unknownModel(question.model, [...answerers.keys()]);
      const lone = question.model === ENSEMBLE_ID ? loneAnswerer(question) : null;
      if (lone === null) return yield* answerAs(named, question);
      let begun = false;
      try {
        for await (const event of answerAs(lone, question)) {
          begun = true;
          yield event;
        }
      } catch (error) {
        // Nothing is out yet, so the members that are left can still answer; the text of one vocabulary has no end in another.
        if (begun || !(error instanceof GatewayError && error.code === "members_lost")) throw error;
        yield* answerAs(named, question);
      }
    },
  };

  async function* answerAs(answerer: Answerer, question: Question): AsyncGenerator<AnswerEvent> {
    const start = clock.monotonic();
    const createdAt = clock.now();
    checkBias(question, answerer.vocabulary);
    const reading = answerer.open(question.prompt);
    try {
      const { context, scored } = reading.prompt;
      const promptTokens = context.length + scored.length;
      const tally = createTally(answerer.members);
      const generating = generateAnswer({
        question,
        reading,
        tokenizer: answerer.vocabulary.tokenizer,
        stops: question.prompt.kind === "chat" ? [...question.stop, ...answerer.chatStops] : question.stop,
        maxTokens: roomFor(question, promptTokens, answerer),
        tally,
        random: createRandom(question.sampling.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0)
          .next,
      });
      let firstTokenMs: number | null = null;
      let step = await generating.next();
      for (; !step.done; step = await generating.next()) {
        if (step.value.type === "delta") firstTokenMs ??= clock.monotonic() - start;
        yield step.value;
      }
      const { finishReason, completionTokens, text } = step.value;
      const report: AnswerReport = {
        ...tally.report(question.requestId, reading.latenciesMs, reading.losses),
        answeredBy: answerer.id,
        ...(answerer.notFused !== undefined && { notFused: answerer.notFused }),
      };
      await log.append({
        requestId: question.requestId,
        createdAt,
        endpoint: question.endpoint,
        model: question.model,
        promptTokens,
        completionTokens,
        finishReason,
        latencyMs: clock.monotonic() - start,
        firstTokenMs,
        report,
        text: keepText ? { prompt: promptText(question, answerer), answer: text } : null,
      });
      yield { type: "end", finishReason, usage: { promptTokens, completionTokens }, report };
    } finally {
      reading.close();
    }
  }
}

interface Answerer {
  readonly id: string;
  /** Why it answers in the ensemble's place; absent where it was asked itself. */
  readonly notFused?: string;
  open(prompt: Question["prompt"]): Reading;
  readonly members: readonly TalliedMember[];
  /** Whose tokens the answer is made of. */
  readonly vocabulary: LanguageModel;
  readonly contextLength: number;
  readonly chatStops: readonly string[];
}

function ensembleAnswerer(ensemble: Ensemble, clock: Clock, quorum: number): Answerer {
  const { members, space } = ensemble;
  return {
    id: ENSEMBLE_ID,
    open: (prompt) => createFusedReading(ensemble, prompt, clock, quorum),
    members: space.members.map(({ id, weight }) => ({ id, weight })),
    vocabulary: members[0],
    contextLength: Math.min(...members.map((member) => member.info.contextLength)),
    chatStops: [...new Set(members.flatMap((member) => member.tokenizer.chatStops))],
  };
}

function memberAnswerer(member: LanguageModel, clock: Clock): Answerer {
  return {
    id: member.info.id,
    open: (prompt) => createSingleReading(member, prompt, clock),
    members: [{ id: member.info.id, weight: 1 }],
    vocabulary: member,
    contextLength: member.info.contextLength,
    chatStops: member.tokenizer.chatStops,
  };
}

/** How many tokens the answer may have. @throws GatewayError context_length_exceeded */
function roomFor(
  question: Question,
  promptTokens: number,
  { id, notFused, contextLength }: Answerer,
): number {
  // The document start takes one place; the last token drawn is never read.
  const room = contextLength - promptTokens;
  const asked = question.maxTokens;
  if (room < (asked ?? 1)) {
    const wish = asked === null ? "" : ` and max_tokens asks for ${asked} more`;
    const reader = notFused === undefined ? id : `${id}, which answers this text alone,`;
    throw new GatewayError(
      "context_length_exceeded",
      `${reader} reads at most ${contextLength} tokens; the prompt has ${promptTokens}${wish}: shorten one of them`,
      { param: question.prompt.kind === "chat" ? "messages" : "prompt" },
    );
  }
  return asked ?? room;
}

/** @throws GatewayError invalid_request for a token that the answering vocabulary lacks */
function checkBias({ sampling, model }: Question, { tokenizer }: LanguageModel): void {
  const wrong = [...sampling.logitBias.keys()].find((token) => token >= tokenizer.vocabularySize);
  if (wrong === undefined) return;
  const last = tokenizer.vocabularySize - 1;
  throw new GatewayError(
    "invalid_request",
    `logit_bias: ${model} has token ids from 0 to ${last}, got ${wrong}`,
    { param: "logit_bias" },
  );
}

function unknownModel(model: string, known: readonly string[]): GatewayError {
  return new GatewayError(
    "unknown_model",
    `the model '${model}' does not exist; there are: ${known.join(", ")}`,
    {
      param: "model",
    },
  );
}

function promptText({ prompt }: Question, { vocabulary }: Answerer): string {
  if (prompt.kind === "text") return prompt.text;
  if (prompt.kind === "chat") return JSON.stringify(prompt.messages);
  return vocabulary.tokenizer.decode(prompt.tokens);
}
