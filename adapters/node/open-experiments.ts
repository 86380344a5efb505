import { createExperimentEngine, type ExperimentEngine } from "../../src/experiments/experiment-engine.ts";
import { createExperiments, type Experiments } from "../../src/experiments/experiments.ts";
import { createFeedbackDesk, type FeedbackDesk } from "../../src/experiments/feedback.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { JudgedConfidence } from "../../src/ports/observations.ts";
import { applyExperimentsFile, type ExperimentsFile } from "./experiments-file.ts";
import type { OpenEngine } from "./open-engine.ts";

export interface OpenExperiments {
  /** Answers as experiments too. */
  readonly engine: ExperimentEngine;
  readonly experiments: Experiments;
  readonly feedback: FeedbackDesk;
}

/** Experiments on an engine, kept in its database. @param judged told of confidences that feedback judges @throws Error when the file's cannot be had */
export async function openExperiments(
  engine: OpenEngine,
  file: ExperimentsFile | null,
  judged?: (judgement: JudgedConfidence) => void,
): Promise<OpenExperiments> {
  const { experimentStore: store, feedbackStore, log } = engine;
  const clock = systemClock;
  const models = () => engine.models().map(({ id }) => id);
  const experiments = await createExperiments({ store, models, clock });
  if (file !== null) await applyExperimentsFile(experiments, file);
  return {
    engine: createExperimentEngine({
      engine,
      experiments,
      store,
      feedback: feedbackStore,
      clock,
      onFailure: (error, requestId) => console.error(`[${requestId}]`, error),
    }),
    experiments,
    feedback: createFeedbackDesk({ feedback: feedbackStore, store, experiments, log, clock, judged }),
  };
}
