import type { SetReport } from "../ensemble/confidence-report.ts";
import type { Experiments } from "../experiments/experiments.ts";
import type { Clock } from "../ports/clock.ts";
import type { EnsembleHealth } from "../ports/health.ts";
import type { Observations } from "../ports/observations.ts";
import type { Probes } from "../ports/probes.ts";

/** Where the pages' numbers come from. What is absent has no numbers here, and its page says so. */
export interface DashboardSources {
  readonly observations: Observations;
  readonly clock: Clock;
  /** How the members are; null while that is not known. */
  readonly health?: (() => EnsembleHealth | null) | undefined;
  readonly probes?: Probes | undefined;
  readonly confidence?: ConfidenceEvidence | undefined;
  readonly experiments?: ExperimentDesk | undefined;
  /** When given, pages ask for it once and then for a cookie, or for a bearer token each time. */
  readonly apiKey?: string | undefined;
  /** Told of each failure that is the gateway's own. */
  readonly onInternalError?: ((error: unknown, requestId: string) => void) | undefined;
}

/** What is known of how far confidences can be trusted. */
export interface ConfidenceEvidence {
  /** The sets of questions that confidences are calibrated on; null while that is not known. */
  calibratedOn(): readonly CalibratedSet[] | null;
  /** What was found on questions kept apart, for the calibration in use; null where nobody has looked. */
  report(): Promise<SavedReport | null>;
}

export interface CalibratedSet {
  readonly name: string;
  readonly kind: "choice" | "short_answer";
  /** Questions that nothing else was learned from. */
  readonly items: number;
  /** Who may decide: sets of members. */
  readonly deciders: readonly (readonly string[])[];
}

export interface SavedReport {
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
  readonly sets: readonly SetReport[];
}

/** Experiments as the pages show and move them. */
export type ExperimentDesk = Pick<
  Experiments,
  "list" | "find" | "counts" | "analyse" | "start" | "pause" | "stop"
>;
