import { createRandom } from "../linalg/random.ts";
import type { AgreementLog, LogRecord } from "../ports/agreement-log.ts";
import type { Clock } from "../ports/clock.ts";
import type {
  AnswerEvent,
  AnswerReport,
  Engine,
  MemberLoss,
  ModelCard,
  Prompt,
  Question,
} from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { silentSpan } from "../ports/span.ts";
import { noTelemetry, type Telemetry } from "../ports/telemetry.ts";
import { generateAnswer } from "./answer.ts";
import { chooseAnswer } from "./choose-answer.ts";
import { confidenceInText, NOTHING_CALIBRATED, type ConfidenceBook } from "./confidence.ts";
import type { Ensemble } from "./ensemble.ts";
import { createFusedReading } from "./fused-reading.ts";
import { keptText, type Redactor } from "./kept-text.ts";
import { readPrompt, type ReadPrompt } from "./prompt.ts";
import type { Reading } from "./reading.ts";
import { routeOf } from "./route.ts";
import { createSampler, neverDrawn } from "./sampler.ts";
import { createSingleReading } from "./single-reading.ts";
import { tellStages, within } from "./stages.ts";
import { createTally } from "./tally.ts";
import type { TalliedMember } from "./tally.ts";
import { createGivenTokens } from "./token-source.ts";
import { createTracer } from "./trace.ts";

/** The name of the ensemble in the API. */
export const ENSEMBLE_ID = "concord";

export interface EngineOptions {
  /** What the ensemble is called. Default `concord`. */
  readonly id?: string | undefined;
  readonly ensemble: Ensemble;
  readonly log: AgreementLog;
  readonly clock: Clock;
  /** Whether prompts and answers are kept in the log. */
  readonly keepText: boolean;
  /** What of a prompt's or an answer's text is kept, where text is; absent: all of it. */
  readonly redact?: Redactor | undefined;
  /** What confidences are told by; absent: none is. */
  readonly confidence?: ConfidenceBook | undefined;
  /** The members without which nothing is fused; 1 to m. Default 1. */
  readonly quorum?: number | undefined;
  /** Told how long the log takes; what is told of an answer goes to its question's span. Default: nobody. */
  readonly telemetry?: Pick<Telemetry, "logAppended"> | undefined;
}

/**
 * Answers as the ensemble or as any one member, and logs every finished answer before its end is told. The ensemble
 * leaves plain texts that its anchor's vocabulary is unfit for to one follower, see `routeOf`. Where members are lost
 * it goes on with the others: a fused answer at the same token, one that was left to a follower after the text that is
 * out, fused (penalties then count from there on). A member that was asked by its own name cannot be replaced.
 */
export function createEngine({
  id: ensembleId = ENSEMBLE_ID,
  ensemble,
  log,
  clock,
  keepText,
  redact = (text) => text,
  confidence: book = NOTHING_CALIBRATED,
  quorum = 1,
  telemetry = noTelemetry,
}: EngineOptions): Engine {
  const answerers = new Map<string, Answerer>([
    [ensembleId, ensembleAnswerer(ensembleId, ensemble, clock, quorum)],
  ]);
  for (const member of ensemble.members) {
    answerers.set(member.info.id, memberAnswerer(ensemble, member, clock));
  }
  const created = Math.floor(clock.now() / 1000);

  /**
   * The member that the ensemble leaves the question to. Ids in a bias are the anchor's: such an answer is fused. Choices
   * are weighed by what each member says in its own tokens, so that none has to be left to one.
   */
  function loneAnswerer({ prompt, sampling, choices }: Question): Answerer | null {
    const fused = sampling.logitBias.size > 0 || choices !== undefined;
    const taken = fused ? null : routeOf(ensemble, prompt);
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
      const out = nothingOut(clock);
      const lone = question.model === ensembleId ? loneAnswerer(question) : null;
      if (lone === null) return yield* answerAs(named, question, out);
      try {
        yield* answerAs(lone, question, out);
      } catch (error) {
        if (!(error instanceof GatewayError && error.code === "members_lost")) throw error;
        out.lost = { id: lone.id, position: out.tokens, reason: error.message };
        try {
          yield* answerAs(named, question, out);
        } catch (cause) {
          // What fits the follower's context may not fit the ensemble's: the loss is what is wrong, not the request.
          if (cause instanceof GatewayError && cause.code === "context_length_exceeded") throw error;
          throw cause;
        }
      }
    },
  };

  /** @param out what is out of the answer already, to which it adds */
  async function* answerAs(
    answerer: Answerer,
    question: Question,
    out: AnswerSoFar,
  ): AsyncGenerator<AnswerEvent> {
    const { tokenizer } = answerer.vocabulary;
    const { span = silentSpan } = question;
    checkBias(question, answerer.vocabulary);
    const random = createRandom(
      question.sampling.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
    ).next;
    const choose = () => chooseAnswer(question, answerer, { kinds: book.choices, random });
    const choice = question.choices === undefined ? null : await within(span, "weigh choices", choose);
    const reading = answerer.open(continuedPrompt(question.prompt, out.text));
    try {
      const readTokens = lengthOf(reading.prompt);
      const promptTokens = out.text === "" ? readTokens : lengthOf(readPrompt(tokenizer, question.prompt));
      const before = out.tokens;
      const left = question.maxTokens === null ? null : question.maxTokens - before;
      const tally = createTally(answerer.members);
      const sampler = createSampler(question.sampling, neverDrawn(tokenizer), random);
      const stops =
        question.prompt.kind === "chat" ? [...question.stop, ...answerer.chatStops] : question.stop;
      const tracer = createTracer(tokenizer, keepText);
      const generating = generateAnswer({
        question: { ...question, echo: question.echo && !out.echoed },
        reading,
        tokenizer,
        stops: choice === null ? stops : [],
        maxTokens: roomFor(question, choice?.tokens.length ?? left, readTokens, answerer),
        atMost: choice === null ? "length" : "stop",
        source: choice === null ? sampler : createGivenTokens(choice.tokens),
        tally,
        tracer,
      });
      let step = await generating.next();
      for (; !step.done; step = await generating.next()) {
        note(out, step.value, clock);
        yield step.value;
      }
      const outcome = step.value;
      const { finishReason } = outcome;
      const completionTokens = before + outcome.completionTokens;
      const losses = answerer.members.map(({ id }, m): MemberLoss | null => {
        if (out.lost?.id === id) return { position: out.lost.position, reason: out.lost.reason };
        const loss = reading.losses[m] ?? null;
        return loss && { ...loss, position: before + loss.position };
      });
      const { confidence, forecast } =
        choice ??
        (await within(span, "calibrate", () =>
          confidenceInText(book, question, { members: answerer.ensemble.members, losses, outcome }),
        ));
      const report: AnswerReport = {
        ...tally.report(question.requestId, reading.latenciesMs, losses),
        answeredBy: answerer.id,
        ...(answerer.notFused !== undefined && { notFused: answerer.notFused }),
      };
      const kept = keepText ? keptText(question.prompt, out.text, tokenizer, redact) : null;
      const trace = tracer.trace(answerer.members.map(({ id }) => id));
      const record: LogRecord = {
        requestId: question.requestId,
        createdAt: out.createdAt,
        endpoint: question.endpoint,
        model: question.model,
        promptTokens,
        completionTokens,
        finishReason,
        latencyMs: clock.monotonic() - out.start,
        firstTokenMs: out.firstTokenMs,
        report,
        confidence: confidence.value === null ? null : { value: confidence.value, kind: confidence.kind },
        experiment: question.experiment ?? null,
        text: kept?.text ?? null,
      };
      const appended = clock.monotonic();
      // Tokens spell out what a redactor took away.
      const told = trace && { ...trace, tokens: kept?.whole === true ? trace.tokens : null };
      await within(span, "append log", () => log.append(record, told));
      telemetry.logAppended(clock.monotonic() - appended);
      yield {
        type: "end",
        finishReason,
        usage: { promptTokens, cachedTokens: reading.reused, completionTokens },
        report,
        confidence,
        ...(choice !== null && { choices: choice.choices }),
        ...(forecast !== null && { forecast }),
      };
    } finally {
      tellStages(span, reading.stages);
      reading.close();
    }
  }
}

/** What is out of an answer: whoever goes on with it begins there. */
interface AnswerSoFar {
  /** By the clock that never runs backwards, milliseconds. */
  readonly start: number;
  readonly createdAt: number;
  firstTokenMs: number | null;
  echoed: boolean;
  text: string;
  tokens: number;
  /** Who began it and could not end it. */
  lost: (MemberLoss & { readonly id: string }) | null;
}

function nothingOut(clock: Clock): AnswerSoFar {
  const [start, createdAt] = [clock.monotonic(), clock.now()];
  return { start, createdAt, firstTokenMs: null, echoed: false, text: "", tokens: 0, lost: null };
}

function note(out: AnswerSoFar, event: AnswerEvent, clock: Clock): void {
  if (event.type === "prompt") out.echoed = true;
  if (event.type !== "delta") return;
  out.firstTokenMs ??= clock.monotonic() - out.start;
  out.text += event.text;
  out.tokens += event.tokens.length;
}

/** The prompt with the part of its answer that is out; only a plain text is ever gone on with. */
function continuedPrompt(prompt: Prompt, text: string): Prompt {
  return prompt.kind === "text" && text !== "" ? { ...prompt, text: prompt.text + text } : prompt;
}

function lengthOf({ context, scored }: ReadPrompt): number {
  return context.length + scored.length;
}

interface Answerer {
  readonly id: string;
  /** Why it answers in the ensemble's place; absent where it was asked itself. */
  readonly notFused?: string;
  /** Those who answer, as an ensemble: of all members, or of one. */
  readonly ensemble: Ensemble;
  /** Of them, those without which nothing is answered. */
  readonly quorum: number;
  open(prompt: Prompt): Reading;
  readonly members: readonly TalliedMember[];
  /** Whose tokens the answer is made of. */
  readonly vocabulary: LanguageModel;
  readonly contextLength: number;
  readonly chatStops: readonly string[];
}

function ensembleAnswerer(id: string, ensemble: Ensemble, clock: Clock, quorum: number): Answerer {
  const { members, space } = ensemble;
  return {
    id,
    ensemble,
    quorum,
    open: (prompt) => createFusedReading(ensemble, prompt, clock, quorum),
    members: space.members.map((member) => ({ id: member.id, weight: member.weight })),
    vocabulary: members[0],
    contextLength: Math.min(...members.map((member) => member.info.contextLength)),
    chatStops: [...new Set(members.flatMap((member) => member.tokenizer.chatStops))],
  };
}

function memberAnswerer(ensemble: Ensemble, member: LanguageModel, clock: Clock): Answerer {
  return {
    id: member.info.id,
    ensemble: { ...ensemble, members: [member] },
    quorum: 1,
    open: (prompt) => createSingleReading(member, prompt, clock),
    members: [{ id: member.info.id, weight: 1 }],
    vocabulary: member,
    contextLength: member.info.contextLength,
    chatStops: member.tokenizer.chatStops,
  };
}

/** How many tokens the answer may have. @throws GatewayError context_length_exceeded */
function roomFor(
  { prompt, maxTokens }: Question,
  asked: number | null,
  promptTokens: number,
  { id, notFused, contextLength }: Answerer,
): number {
  // The document start takes one place; the last token drawn is never read.
  const room = contextLength - promptTokens;
  if (room < (asked ?? 1)) {
    const wisher = maxTokens === null ? "the choice" : "max_tokens";
    const wish = asked === null ? "" : ` and ${wisher} asks for ${asked} more`;
    const reader = notFused === undefined ? id : `${id}, which answers this text alone,`;
    throw new GatewayError(
      "context_length_exceeded",
      `${reader} reads at most ${contextLength} tokens; the prompt has ${promptTokens}${wish}: shorten one of them`,
      { param: prompt.kind === "chat" ? "messages" : "prompt" },
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
