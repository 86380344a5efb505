import type { AgreementLog } from "../ports/agreement-log.ts";
import type { Clock } from "../ports/clock.ts";
import type {
  Experiment,
  ExperimentStore,
  Exposure,
  Feedback,
  FeedbackOutcome,
  FeedbackStore,
  FeedbackTarget,
  FeedbackValue,
  MetricDefinition,
} from "../ports/experiments.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { JudgedConfidence } from "../ports/observations.ts";
import { COMMENT, CORRECT, DEMONSTRATION } from "./definition.ts";
import type { Experiments } from "./experiments.ts";
import { choiceHash, unitKey } from "./hash.ts";

/** What a client says of an answer, or of how a user fared. */
export interface FeedbackRequest {
  readonly metric: string;
  readonly value: boolean | number | string;
  readonly about: { readonly requestId: string } | { readonly user: string };
  /** The client's own name for this feedback: what is sent twice under it counts once, and nothing else may have it. */
  readonly id?: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** Only checked, not kept. */
  readonly dryRun: boolean;
}

export interface GivenFeedback {
  readonly id: string;
  /** `checked`: it would be taken. */
  readonly outcome: Exclude<FeedbackOutcome, "conflict"> | "checked";
  /** Whose samples it became. */
  readonly experiments: readonly string[];
}

export interface FeedbackDesk {
  /**
   * Keeps feedback. Without an id, what is about the same thing by the same metric is the same feedback: another value
   * replaces the first; comments are the same where their texts are.
   * @throws GatewayError not_found for an answer or a user that nothing is known of | invalid_request | conflict for an id
   * that other feedback has
   */
  give(request: FeedbackRequest): Promise<GivenFeedback>;
}

export interface FeedbackDeskOptions {
  readonly feedback: FeedbackStore;
  readonly store: Pick<ExperimentStore, "exposures" | "experimentsOf">;
  readonly experiments: Experiments;
  readonly log: Pick<AgreementLog, "find">;
  readonly clock: Clock;
  /** Told of each answer with a confidence that is judged for the first time. Default: nobody. */
  readonly judged?: ((judgement: JudgedConfidence) => void) | undefined;
  /** Default `crypto.randomUUID`. */
  readonly newId?: (() => string) | undefined;
}

const correct: MetricDefinition = { name: CORRECT, kind: "boolean", bounds: [0, 1], better: "higher" };

export function createFeedbackDesk({
  feedback,
  store,
  experiments,
  log,
  clock,
  judged = () => {},
  newId = () => crypto.randomUUID(),
}: FeedbackDeskOptions): FeedbackDesk {
  /** @throws GatewayError not_found */
  async function answered(answerId: string): Promise<{ requestId: string; exposure: Exposure | null }> {
    const exposures = await store.exposures(answerId);
    const exposure = exposures.find((one) => one.answerId === answerId) ?? null;
    if (exposure?.status === "dropped") {
      throw notFound("request_id", `The shadow '${answerId}' was dropped: it has no answer.`);
    }
    if (exposure !== null) return { requestId: exposure.requestId, exposure };
    if ((await log.find(answerId)) === null) {
      throw notFound(
        "request_id",
        `There is no answer '${answerId}': expected the id that an answer has in concord.request_id, or in the header x-request-id where it is the only one.`,
      );
    }
    return { requestId: answerId, exposure: null };
  }

  /** @throws GatewayError invalid_request for a text that was none of the question's choices */
  async function demonstrated(answerId: string, text: string): Promise<FeedbackValue> {
    const choices = (await feedback.judgeable(answerId))?.choices ?? [];
    if (choices.length === 0) return { kind: "demonstration", text, choice: null };
    const choice = choices.indexOf(await choiceHash(text));
    if (choice >= 0) return { kind: "demonstration", text, choice };
    throw invalid("value", `one of the ${choices.length} choices of the question, as it was asked`);
  }

  async function aboutAnswer(answerId: string, request: FeedbackRequest): Promise<Statement[]> {
    const { metric, value } = request;
    const { requestId, exposure } = await answered(answerId);
    const experiment = exposure && (await experiments.find(exposure.experiment));
    const target: FeedbackTarget = { kind: "answer", answerId, requestId };
    const said =
      metric === DEMONSTRATION
        ? await demonstrated(answerId, textOf(value))
        : valueBy(metric, value, metricsOf(experiment));
    return [{ experiment: experiment?.name ?? null, target, value: said }];
  }

  async function aboutUser(user: string, { metric, value }: FeedbackRequest): Promise<Statement[]> {
    const unit = await unitKey("user", user);
    const names = await store.experimentsOf(unit);
    const found = await Promise.all(names.map((name) => experiments.find(name)));
    if (found.length === 0) {
      throw notFound(
        "user",
        "No experiment that assigns by user has answered this one: send request_id instead.",
      );
    }
    const split = found.filter(({ mode }) => mode === "split");
    if (split.length === 0) {
      const message = `user: the experiment '${found[0]?.name}' compares two answers to the same request: send request_id instead.`;
      throw new GatewayError("invalid_request", message, { param: "user" });
    }
    if (metric === DEMONSTRATION)
      throw invalid("request_id", `it beside a ${DEMONSTRATION}, which is of one answer`);
    const concerned = split.filter(
      (experiment) => metric === COMMENT || metricsOf(experiment).some(({ name }) => name === metric),
    );
    const measured = concerned.length > 0 ? concerned : split.slice(0, 1);
    return measured.map((experiment) => ({
      experiment: experiment.name,
      target: { kind: "unit", unit },
      value: valueBy(metric, value, metricsOf(experiment)),
    }));
  }

  async function tellJudged({ target, value }: Statement, metric: string): Promise<void> {
    if (target.kind !== "answer") return;
    const right =
      metric === CORRECT && value.kind === "boolean" ? value.value : await shownRight(target.answerId, value);
    const confidence = right === null ? null : (await log.find(target.answerId))?.confidence;
    if (right !== null && confidence) judged({ confidence: confidence.value, correct: right });
  }

  /** Whether the choice was the demonstrated one; null where that is not known. */
  async function shownRight(answerId: string, value: FeedbackValue): Promise<boolean | null> {
    if (value.kind !== "demonstration") return null;
    const chosen = (await feedback.judgeable(answerId))?.chosen ?? null;
    return chosen === null || value.choice === null ? null : chosen === value.choice;
  }

  return {
    async give(request) {
      const { about, metric, tags, dryRun } = request;
      const statements =
        "user" in about ? await aboutUser(about.user, request) : await aboutAnswer(about.requestId, request);
      const names = statements.flatMap(({ experiment }) => experiment ?? []);
      if (dryRun) return { id: newId(), outcome: "checked", experiments: names };
      const at = clock.now();
      let given: GivenFeedback | null = null;
      for (const statement of statements) {
        const key = keyOf(statement, request);
        const one: Feedback = { ...statement, id: newId(), key, metric, tags, at };
        const { id, outcome } = await feedback.give(one, request.id === undefined);
        if (outcome === "conflict") {
          const message = `id: '${request.id}' is the id of other feedback: expected the same again, or another id.`;
          throw new GatewayError("conflict", message, { param: "id" });
        }
        if (outcome === "new") await tellJudged(statement, metric);
        given ??= { id, outcome, experiments: names };
      }
      if (given === null) throw new Error("feedback about nothing");
      return given;
    },
  };
}

/** What is said of one thing. */
type Statement = Pick<Feedback, "experiment" | "target" | "value">;

/** `correct` can be said of any answer; what else, an experiment decides. */
function metricsOf(experiment: Experiment | null): readonly MetricDefinition[] {
  const own = experiment?.metrics ?? [];
  return own.some(({ name }) => name === CORRECT) ? own : [...own, correct];
}

/** @throws GatewayError invalid_request for a metric that is none of these, or a value that is none of its */
function valueBy(
  name: string,
  value: FeedbackRequest["value"],
  metrics: readonly MetricDefinition[],
): FeedbackValue {
  if (name === COMMENT) return { kind: "comment", text: textOf(value) };
  const metric = metrics.find((one) => one.name === name);
  if (metric === undefined) {
    const known = [...metrics.map((one) => one.name), COMMENT, DEMONSTRATION].join(", ");
    throw invalid("metric_name", `one of ${known} for this answer, got ${name}`);
  }
  if (metric.kind === "boolean") {
    if (typeof value !== "boolean") throw invalid("value", `true or false by the metric ${name}`);
    return { kind: "boolean", value };
  }
  const { bounds } = metric;
  const range = bounds === null ? "" : ` from ${bounds[0]} to ${bounds[1]}`;
  const fits = typeof value === "number" && (bounds === null || (value >= bounds[0] && value <= bounds[1]));
  if (!fits) throw invalid("value", `a number${range} by the metric ${name}`);
  return { kind: "number", value };
}

function textOf(value: FeedbackRequest["value"]): string {
  if (typeof value === "string" && value !== "") return value;
  throw invalid("value", "a text that is not empty by this metric");
}

function keyOf({ experiment, target, value }: Statement, { id, metric }: FeedbackRequest): string {
  if (id !== undefined) return JSON.stringify(["id", id, experiment]);
  const subject = target.kind === "unit" ? [target.unit, experiment] : [target.answerId];
  return JSON.stringify([target.kind, ...subject, metric, ...(value.kind === "comment" ? [value.text] : [])]);
}

function notFound(param: string, message: string): GatewayError {
  return new GatewayError("not_found", message, { param });
}

function invalid(param: string, expected: string): GatewayError {
  return new GatewayError("invalid_request", `${param}: expected ${expected}.`, { param });
}
