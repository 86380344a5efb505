import {
  createSqliteExperimentStore,
  createSqliteFeedbackStore,
} from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { createExperimentEngine, type ExperimentEngine } from "../../src/experiments/experiment-engine.ts";
import { createExperiments, type Experiments } from "../../src/experiments/experiments.ts";
import { createFeedbackDesk, type FeedbackDesk } from "../../src/experiments/feedback.ts";
import { plainSampling, type AnswerEvent, type Question } from "../../src/ports/engine.ts";
import type { ExperimentDefinition, ExperimentStore, FeedbackStore } from "../../src/ports/experiments.ts";
import type { JudgedConfidence } from "../../src/ports/observations.ts";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import { createLogRecord } from "../contracts/log-record.ts";
import { createScriptedEngine, type Script, type ScriptedEngine } from "../scripted-engine.ts";

export const MEMBER = "smollm2-135m-instruct";

export function definition(changes: Partial<ExperimentDefinition> = {}): ExperimentDefinition {
  return {
    name: "fusion",
    description: "",
    mode: "split",
    arms: [
      { name: "ensemble", model: "concord", weight: 1 },
      { name: "member", model: MEMBER, weight: 1 },
    ],
    control: "member",
    unit: "request",
    salt: "fusion",
    returned: "assigned",
    defaultFor: null,
    metrics: [
      { name: "correct", kind: "boolean", bounds: [0, 1], better: "higher" },
      { name: "stars", kind: "number", bounds: [1, 5], better: "higher" },
    ],
    plan: { alpha: 0.05, units: 5000, minimumEffect: null },
    ...changes,
  };
}

export function ask(requestId: string, changes: Partial<Question> = {}): Question {
  return {
    requestId,
    model: "experiment:fusion",
    endpoint: "completions",
    prompt: { kind: "text", text: "Say it" },
    maxTokens: 16,
    stop: [],
    sampling: plainSampling,
    topLogprobs: null,
    echo: false,
    ...changes,
  };
}

/** A user's question. */
export const by = (user: string): Pick<Question, "caller"> => ({ caller: { user, header: () => null } });

export async function endOf(
  events: AsyncIterable<AnswerEvent>,
): Promise<Extract<AnswerEvent, { type: "end" }>> {
  for await (const event of events) if (event.type === "end") return event;
  throw new Error("an answer without an end");
}

export interface TestExperiments {
  readonly asked: ScriptedEngine;
  readonly engine: ExperimentEngine;
  readonly experiments: Experiments;
  readonly desk: FeedbackDesk;
  readonly store: ExperimentStore;
  readonly feedback: FeedbackStore;
  readonly failures: unknown[];
  /** Answers that the agreement log knows beside the experiments', and their confidences. */
  readonly logged: Map<string, LogRecord["confidence"]>;
  /** What the desk has told. */
  readonly judged: JudgedConfidence[];
}

/** Everything over one database in memory; each look at the clock is a millisecond later. */
export async function openTestExperiments(
  script?: Script,
  shadows?: { concurrency: number; capacity: number },
): Promise<TestExperiments> {
  const database = openDatabase(":memory:");
  const store = createSqliteExperimentStore(database);
  const feedback = createSqliteFeedbackStore(database);
  let now = 1000;
  const clock = { now: () => (now += 1), monotonic: () => now };
  const asked = createScriptedEngine(script);
  const models = () => asked.models().map(({ id }) => id);
  const experiments = await createExperiments({ store, models, clock });
  const failures: unknown[] = [];
  const logged: TestExperiments["logged"] = new Map();
  const judged: JudgedConfidence[] = [];
  const engine = createExperimentEngine({
    engine: asked,
    experiments,
    store,
    feedback,
    clock,
    shadows,
    onFailure: (error) => failures.push(error),
  });
  const log = {
    async find(requestId: string) {
      const confidence = logged.get(requestId);
      return confidence === undefined ? null : createLogRecord({ requestId, confidence });
    },
  };
  let ids = 0;
  const newId = (): string => `feedback-${(ids += 1)}`;
  const desk = createFeedbackDesk({
    feedback,
    store,
    experiments,
    log,
    clock,
    newId,
    judged: (judgement) => judged.push(judgement),
  });
  return { asked, engine, experiments, desk, store, feedback, failures, logged, judged };
}

/** The same, with one experiment that runs. */
export async function running(
  changes: Partial<ExperimentDefinition> = {},
  ...options: Parameters<typeof openTestExperiments>
): Promise<TestExperiments> {
  const opened = await openTestExperiments(...options);
  await opened.experiments.create(definition(changes));
  await opened.experiments.start("fusion");
  return opened;
}

/** A question that has to wait until it is let go. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open: (() => void) | null = null;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open?.() };
}
