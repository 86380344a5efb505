import type { Clock } from "../ports/clock.ts";
import type { AnswerEvent, Engine, ModelCard, Prompt, Question } from "../ports/engine.ts";
import type {
  ArmDefinition,
  Experiment,
  ExperimentStore,
  Exposure,
  FeedbackStore,
} from "../ports/experiments.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import { assignArm, unitOf } from "./assignment.ts";
import { EXPERIMENT_PREFIX } from "./definition.ts";
import { restingArm, type Experiments } from "./experiments.ts";
import { choiceHash } from "./hash.ts";
import { createShadowQueue } from "./shadow-queue.ts";

export interface ExperimentEngineOptions {
  /** That answers. */
  readonly engine: Engine;
  readonly experiments: Experiments;
  readonly store: Pick<ExperimentStore, "expose">;
  readonly feedback: Pick<FeedbackStore, "remember">;
  readonly clock: Clock;
  /** Shadows that answer at once, and that wait. Default 1 and 100. */
  readonly shadows?: { readonly concurrency: number; readonly capacity: number } | undefined;
  /** Told of what fails where no client waits for it. */
  readonly onFailure: (error: unknown, requestId: string) => void;
}

export interface ExperimentEngine extends Engine {
  /** Waits for the shadows that are on their way; once `signal` aborts the others are dropped, and counted as such. */
  drain(signal: AbortSignal): Promise<void>;
}

type End = Extract<AnswerEvent, { type: "end" }>;

const DEFAULT_SHADOWS = { concurrency: 1, capacity: 100 };

/**
 * An engine that also answers as `experiment:<name>`: by the arm that the question's unit is assigned to, or, while the
 * experiment does not run, by its control or winner. Every answer of an experiment that ran when it was asked becomes an
 * exposure before its end is told, whatever has become of the experiment meanwhile; one that fails or is cut off becomes
 * one too. Of every answer that can be judged later it keeps what is needed for that.
 */
export function createExperimentEngine({
  engine,
  experiments,
  store,
  feedback,
  clock,
  shadows = DEFAULT_SHADOWS,
  onFailure,
}: ExperimentEngineOptions): ExperimentEngine {
  const queue = createShadowQueue(shadows);

  /** The engine's answer, remembered before its end is told. @param requestId of the request that it is an answer to */
  async function* judgeable(question: Question, requestId: string): AsyncGenerator<AnswerEvent> {
    for await (const event of engine.answer(question)) {
      if (event.type === "end" && (event.choices !== undefined || event.forecast !== undefined)) {
        const values = question.choices ?? [];
        await feedback.remember({
          answerId: question.requestId,
          requestId,
          at: clock.now(),
          choices: await Promise.all(values.map(({ value }) => choiceHash(value))),
          chosen: event.choices?.chosen ?? null,
          forecast: event.forecast ?? null,
        });
      }
      yield event;
      if (event.type === "end") return;
    }
  }

  /** One arm's answer. Becomes an exposure however it ends; @param told makes of its end what the client is told. */
  async function* sample(
    question: Question,
    exposure: Pick<Exposure, "experiment" | "requestId" | "role" | "unit" | "allocation" | "assignedAt">,
    arm: ArmDefinition,
    told: (end: End) => End,
  ): AsyncGenerator<AnswerEvent> {
    const start = clock.monotonic();
    let over = false;
    const expose = (status: Exposure["status"], end: End | null): Promise<void> => {
      over = true;
      return store.expose({
        ...exposure,
        answerId: question.requestId,
        arm: arm.name,
        endedAt: clock.now(),
        status,
        latencyMs: end && clock.monotonic() - start,
        completionTokens: end && end.usage.completionTokens,
        chosen: end?.choices?.chosen ?? null,
        promptCharacters: lengthOf(question.prompt),
      });
    };
    try {
      const experiment = { name: exposure.experiment, arm: arm.name };
      for await (const event of judgeable(
        { ...question, model: arm.model, experiment },
        exposure.requestId,
      )) {
        if (event.type === "end") {
          await expose("answered", event);
          yield told(event);
          return;
        }
        yield event;
      }
    } catch (error) {
      // What the client is to hear is why there is no answer, not that this could not be written down.
      const status = isCancelled(error) ? "cancelled" : "failed";
      if (!over) await expose(status, null).catch((cause: unknown) => onFailure(cause, question.requestId));
      throw error;
    } finally {
      if (!over) await expose("cancelled", null);
    }
  }

  /** What stands of an exposure before anybody has answered. */
  function assigned({ name, allocations }: Experiment, { requestId }: Question, unit: string) {
    const allocation = allocations.length - 1;
    return { experiment: name, requestId, unit, allocation, assignedAt: clock.now() };
  }

  function addShadow(question: Question, exposure: ReturnType<typeof assigned>, arm: ArmDefinition): void {
    const dropped = async (): Promise<void> => {
      const none = { latencyMs: null, completionTokens: null, chosen: null };
      try {
        await store.expose({
          ...exposure,
          ...none,
          role: "shadow",
          answerId: question.requestId,
          arm: arm.name,
          endedAt: clock.now(),
          status: "dropped",
          promptCharacters: lengthOf(question.prompt),
        });
      } catch (error) {
        onFailure(error, question.requestId);
      }
    };
    const run = async (signal: AbortSignal): Promise<void> => {
      const answering = sample({ ...question, signal }, { ...exposure, role: "shadow" }, arm, (end) => end);
      try {
        while (!(await answering.next()).done);
      } catch (error) {
        if (!isCancelled(error)) onFailure(error, question.requestId);
      }
    };
    if (!queue.add({ run, drop: dropped })) void dropped();
  }

  async function* answerSplit(experiment: Experiment, question: Question, unit: string) {
    const arm = await assignArm(experiment, unit);
    const part = { name: experiment.name, arm: arm.name, recorded: true };
    const exposure = { ...assigned(experiment, question, unit), role: "returned" as const };
    yield* sample(question, exposure, arm, (end) => ({ ...end, experiment: part }));
  }

  async function* answerPaired(experiment: Experiment, question: Question, unit: string) {
    const arm = await returnedArm(experiment, unit);
    const other = experiment.arms.find(({ name }) => name !== arm.name);
    if (other === undefined) throw new Error(`experiment ${experiment.name}: a pair has two arms`);
    const exposure = assigned(experiment, question, unit);
    const shadow = { arm: other.name, requestId: `${question.requestId}-shadow` };
    const part = { name: experiment.name, arm: arm.name, recorded: true, shadow };
    yield* sample(question, { ...exposure, role: "returned" }, arm, (end) => {
      addShadow({ ...question, requestId: shadow.requestId }, exposure, other);
      return { ...end, experiment: part };
    });
  }

  async function* answerAtRest(experiment: Experiment, question: Question) {
    const arm = restingArm(experiment);
    const part = { name: experiment.name, arm: arm.name, recorded: false };
    for await (const event of judgeable({ ...question, model: arm.model }, question.requestId)) {
      yield event.type === "end" ? { ...event, experiment: part } : event;
    }
  }

  return {
    models: () => [...engine.models(), ...cardsOf(experiments.known(), engine.models())],

    async *answer(question) {
      const experiment = await experiments.routed(question.model);
      if (experiment === null) return yield* judgeable(question, question.requestId);
      if (experiment.state !== "running") return yield* answerAtRest(experiment, question);
      const unit = await unitOf(experiment, question);
      if (unit === null) {
        if (question.model === experiment.defaultFor) return yield* judgeable(question, question.requestId);
        throw unassignable(experiment);
      }
      const answer = experiment.mode === "split" ? answerSplit : answerPaired;
      yield* answer(experiment, question, unit);
    },

    drain: (signal) => queue.drain(signal),
  };
}

async function returnedArm(experiment: Experiment, unit: string): Promise<ArmDefinition> {
  const { returned, arms } = experiment;
  if (returned === "assigned") return assignArm(experiment, unit);
  const arm = arms.find(({ name }) => name === returned.arm);
  if (arm === undefined) throw new Error(`experiment ${experiment.name}: no arm is called ${returned.arm}`);
  return arm;
}

function cardsOf(experiments: readonly Experiment[], models: readonly ModelCard[]): ModelCard[] {
  const lengths = new Map(models.map(({ id, contextLength }) => [id, contextLength]));
  return experiments.map(({ name, createdAt, arms }): ModelCard => ({
    id: `${EXPERIMENT_PREFIX}${name}`,
    created: Math.floor(createdAt / 1000),
    ownedBy: "concord",
    contextLength: Math.min(...arms.map(({ model }) => lengths.get(model) ?? 0)),
  }));
}

function lengthOf(prompt: Prompt): number {
  switch (prompt.kind) {
    case "chat":
      return prompt.messages.reduce((sum, { content }) => sum + content.length, 0);
    case "text":
      return prompt.text.length;
    case "tokens":
      return prompt.tokens.length;
  }
}

function isCancelled(error: unknown): boolean {
  return error instanceof GatewayError && error.code === "cancelled";
}

function unassignable({ name, unit }: Experiment): GatewayError {
  const field = unit === "user" ? "user" : `the header ${unit.slice("header:".length)}`;
  const message = `The experiment '${name}' assigns by ${field}: expected one that is not empty beside this request.`;
  return new GatewayError("invalid_request", message, unit === "user" ? { param: "user" } : {});
}
