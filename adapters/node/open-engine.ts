import { createEngine } from "../../src/ensemble/engine.ts";
import type { Redactor } from "../../src/ensemble/kept-text.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { Engine } from "../../src/ports/engine.ts";
import type { EnsembleHealth } from "../../src/ports/health.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import type { Observations, ObservationWriter } from "../../src/ports/observations.ts";
import type { ProbeStore } from "../../src/ports/probe-store.ts";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import type { ExperimentStore, FeedbackStore } from "../../src/ports/experiments.ts";
import type { Telemetry } from "../../src/ports/telemetry.ts";
import {
  createSqliteExperimentStore,
  createSqliteFeedbackStore,
  createSqliteObservationWriter,
  createSqliteProbeStore,
} from "../sqlite/better-sqlite3.ts";
import { openLog } from "../sqlite/open-log.ts";
import { KEEP_EVERYTHING, type Retention } from "../sqlite/upkeep.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { checkProvider } from "./native-session.ts";
import { openConfidence, type OpenConfidence } from "./open-confidence.ts";
import { openEnsemble } from "./open-ensemble.ts";
import { MEMBER_IDS, type OpenOptions } from "./open-members.ts";
import { openVariant, type OpenVariant, type Variant } from "./open-variant.ts";
import { concordPaths } from "./paths.ts";

export interface EngineOptions extends OpenOptions {
  /** Keep prompts and answers in the log. */
  readonly keepText: boolean;
  /** What of a text is kept, where text is. Default: all. */
  readonly redact?: Redactor | undefined;
  /** What the log keeps, and what it deletes. Default: everything is kept. */
  readonly retention?: Retention | undefined;
  /** The members without which nothing is fused. Default 1. */
  readonly quorum?: number | undefined;
  /** Default: nobody. */
  readonly telemetry?: Telemetry | undefined;
  /** Ensembles of the same members under other maps, each a model of its own. Default none. */
  readonly variants?: readonly Variant[] | undefined;
}

/**
 * How long a member may compute without a sign of life, milliseconds. It gives one every 256 tokens of a prompt, which
 * take a slow core 2 s, and it first loads a head of up to 170 MB.
 */
export const MEMBER_TIMEOUT_MS = 20_000;

export interface OpenEngine extends Engine {
  /** The language models that run. */
  readonly members: readonly LanguageModel[];
  /** In the same database as the log. */
  readonly probeStore: ProbeStore;
  /** What the log tells, read on a thread of its own. */
  readonly observations: Observations;
  readonly observationWriter: ObservationWriter;
  readonly experimentStore: ExperimentStore;
  readonly feedbackStore: FeedbackStore;
  readonly log: Pick<AgreementLog, "find">;
  /** What confidences are told by. */
  readonly confidence: OpenConfidence;
  health(): EnsembleHealth;
  close(): Promise<void>;
}

/**
 * The ensemble with its log on this machine.
 * @throws RangeError when the quorum is none of 1 to m; Error when the provider cannot be used here
 */
export async function openEngine(options: EngineOptions): Promise<OpenEngine> {
  const {
    keepText,
    redact,
    retention = KEEP_EVERYTHING,
    quorum = 1,
    telemetry,
    variants = [],
    memberTimeoutMs = MEMBER_TIMEOUT_MS,
  } = options;
  if (!(quorum >= 1 && quorum <= MEMBER_IDS.length)) {
    throw new RangeError(`quorum: expected 1 to ${MEMBER_IDS.length} members, got ${quorum}`);
  }
  checkProvider(options.provider ?? "cpu");
  // First, because it fails fast: a log that cannot be written must not be found out after minutes of loading.
  const { database, log, observations } = openLog({
    path: concordPaths().database,
    retention,
    onUpkeepError: (message) => console.error(`the log's upkeep failed and is tried again: ${message}`),
  });
  try {
    const opening = { ...options, memberTimeoutMs };
    const { ensemble, running, health, close: closeEnsemble } = await openEnsemble(opening);
    const opened: OpenVariant[] = [];
    const close = async (): Promise<void> => {
      await Promise.all(opened.map((variant) => variant.close()));
      await closeEnsemble();
    };
    try {
      const confidence = await openConfidence(ensemble);
      const common = { log, clock: systemClock, keepText, redact, quorum, telemetry };
      const engine = createEngine({ ...common, ensemble, confidence: confidence.book });
      const others = new Map<string, Engine>();
      for (const variant of variants) {
        const { id } = variant;
        if (engine.models().some((card) => card.id === id) || others.has(id)) {
          throw new Error(`models: expected ids of their own, got ${id} again`);
        }
        const open = await openVariant(running, variant, opening);
        opened.push(open);
        others.set(id, createEngine({ ...common, ...open, id }));
      }
      collectGarbage();
      return {
        models: () => [
          ...engine.models(),
          ...[...others].flatMap(([id, other]) => other.models().filter((card) => card.id === id)),
        ],
        answer: (question) => (others.get(question.model) ?? engine).answer(question),
        members: ensemble.members,
        observations,
        observationWriter: createSqliteObservationWriter(database),
        probeStore: createSqliteProbeStore(database),
        experimentStore: createSqliteExperimentStore(database),
        feedbackStore: createSqliteFeedbackStore(database),
        log,
        confidence,
        health: () => ({ quorum, ...health() }),
        close: async () => {
          await close();
          await log.close();
        },
      };
    } catch (error) {
      await close();
      throw error;
    }
  } catch (error) {
    await log.close();
    throw error;
  }
}
