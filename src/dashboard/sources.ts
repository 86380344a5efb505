import type { SetReport } from "../ensemble/confidence-report.ts";
import type { Clock } from "../ports/clock.ts";
import type { EnsembleHealth } from "../ports/health.ts";
import type { JudgedConfidence, Observations, TimeRange } from "../ports/observations.ts";
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
  /** Confidences of answers in the range that feedback has judged. */
  judged(range: TimeRange): Promise<readonly JudgedConfidence[]>;
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
export interface ExperimentDesk {
  /** The newest first. */
  list(): Promise<readonly ShownExperiment[]>;
  /** @throws GatewayError not_found */
  find(name: string): Promise<ShownExperiment>;
  /** In the order of the arms. @throws GatewayError not_found */
  counts(name: string): Promise<readonly ArmTally[]>;
  /** What the samples say by one of the experiment's metrics; null while there is nothing to say. @throws GatewayError not_found */
  analyse(name: string, metric: string): Promise<ExperimentAnalysis | null>;
  /** @throws GatewayError when the experiment's state does not allow it */
  start(name: string): Promise<unknown>;
  pause(name: string): Promise<unknown>;
  stop(name: string, winner: string | null): Promise<unknown>;
}

export interface ShownExperiment {
  readonly name: string;
  readonly description: string;
  readonly mode: "split" | "paired_shadow";
  readonly state: "draft" | "running" | "paused" | "stopped";
  readonly arms: readonly { readonly name: string; readonly model: string; readonly weight: number }[];
  readonly control: string;
  readonly unit: string;
  readonly metrics: readonly [ShownMetric, ...ShownMetric[]];
  readonly plan: { readonly alpha: number; readonly units: number; readonly minimumEffect: number | null };
  /** Milliseconds since the Unix epoch; null: not yet. */
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly stoppedAt: number | null;
  readonly winner: string | null;
}

export interface ShownMetric {
  readonly name: string;
  readonly kind: "boolean" | "number";
  readonly better: "higher" | "lower";
}

export interface ArmTally {
  readonly arm: string;
  readonly units: number;
  readonly expectedUnits: number | null;
  readonly answered: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly dropped: number;
}

export interface ExperimentAnalysis {
  readonly verdict: "winner" | "harm" | "no_difference" | "keep_running" | "invalid";
  /** The verdict in a sentence. */
  readonly reason: string;
  /** Whether units came to the arms in their shares; null where they are not dealt. */
  readonly sampleRatio: { readonly pValue: number; readonly alarm: boolean } | null;
  /** One per arm beside the control. */
  readonly comparisons: readonly ArmComparison[];
}

/** An arm less the control, in the metric's unit. Intervals hold at all times together, with probability 1 − α. */
export interface ArmComparison extends DifferenceAt {
  readonly arm: string;
  readonly mean: number;
  readonly controlMean: number;
  /** Valid at any time of looking. */
  readonly pValue: number;
  /** By the number of units, at most a few hundred points. */
  readonly path: readonly DifferenceAt[];
}

export interface DifferenceAt {
  /** Units that had been judged. */
  readonly units: number;
  readonly difference: number;
  readonly low: number;
  readonly high: number;
}
