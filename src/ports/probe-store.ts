import type { SpaceDepth } from "./sentence-encoders.ts";

export type ProbeTask = "classification" | "regression";

/** How the head did on examples that it had not learned from: each was scored by a head of the other folds. */
export type ProbeMetrics =
  | {
      readonly task: "classification";
      readonly folds: number;
      /** Share of examples whose most likely class was right. */
      readonly accuracy: number;
      /** Share of the most frequent class. */
      readonly majority: number;
      /** Mean −ln p of the right class, nats, calibrated where the probe is. */
      readonly logLoss: number;
      /** Expected calibration error of the most likely class's probability, in [0, 1]. */
      readonly calibrationError: number;
    }
  | {
      readonly task: "regression";
      readonly folds: number;
      /** Share of the values' variance that is explained; below 0 when the mean would do better. */
      readonly r2: number;
      /** Root of the mean squared error, in the values' own unit. */
      readonly rmse: number;
    };

/** How scores become probabilities when exactly these members are read: p = softmax(score / temperature). */
export interface ProbeCalibration {
  readonly members: readonly string[];
  readonly temperature: number;
}

/** A linear head on the shared sentence space, without its weights. */
export interface ProbeSummary {
  readonly name: string;
  /** Counts the fits and imports of this name, from 1. */
  readonly version: number;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
  readonly task: ProbeTask;
  /** The classes, in the order of the outputs (c); empty for regression, which has one output. */
  readonly labels: readonly string[];
  /** Whose states it has learned from: one member, or several whose mean it was. */
  readonly members: readonly string[];
  /** Identity of the shared space: the head means nothing in another one. */
  readonly space: string;
  readonly depth: SpaceDepth;
  /** r. */
  readonly dimension: number;
  /** λ, chosen by cross-validation unless there were too few examples. */
  readonly ridge: number;
  readonly examples: number;
  /** Null where there were too few examples to hold any back. */
  readonly metrics: ProbeMetrics | null;
  /** By the sets of members for which there were enough examples; none for regression. */
  readonly calibrations: readonly ProbeCalibration[];
}

export interface Probe extends ProbeSummary {
  /** Row-major (outputs, r). */
  readonly weights: Float32Array;
  /** (outputs). */
  readonly bias: Float32Array;
}

/** Probes by name and version. What is written never changes; it can only be removed. */
export interface ProbeStore {
  /** Writes a probe as the next version of its name and returns it with that. */
  add(probe: Omit<Probe, "version">): Promise<Probe>;
  /** Every version of every probe, or of one; by name, the newest version first. */
  list(name?: string): Promise<readonly ProbeSummary[]>;
  /** The newest version unless another is asked for; null when there is none. */
  find(name: string, version?: number): Promise<Probe | null>;
  /** Removes all versions and tells how many there were. */
  remove(name: string): Promise<number>;
}
