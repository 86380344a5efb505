import type { RawForecast } from "./engine.ts";

/** `split`: one arm answers a request. `paired_shadow`: both arms do, and one answer is returned. */
export type ExperimentMode = "split" | "paired_shadow";

/** Only a running experiment assigns and records. Nothing starts again once it is stopped. */
export type ExperimentState = "draft" | "running" | "paused" | "stopped";

/** What is assigned to an arm and keeps it: OpenAI's `user`, the value of a header, or each request for itself. */
export type AssignmentUnit = "user" | "request" | `header:${string}`;

export interface ArmDefinition {
  readonly name: string;
  /** Any model that the engine answers as: the ensemble, one of another map, a member. */
  readonly model: string;
  /** Share of the units, relative to the other arms' weights; above 0, or 0 for an arm that gets no new units. */
  readonly weight: number;
}

/** What feedback tells of an answer. */
export interface MetricDefinition {
  readonly name: string;
  readonly kind: "boolean" | "number";
  /** Values outside are refused; null: a number may be any finite one. [0, 1] for a boolean. */
  readonly bounds: readonly [low: number, high: number] | null;
  readonly better: "higher" | "lower";
}

/** What an experiment is, decided before it starts. */
export interface ExperimentDefinition {
  readonly name: string;
  readonly description: string;
  readonly mode: ExperimentMode;
  /** 2 to 16; exactly 2 where they are paired. */
  readonly arms: readonly ArmDefinition[];
  /** The arm that the others are held against, and that answers while the experiment does not run. */
  readonly control: string;
  readonly unit: AssignmentUnit;
  /** Another salt deals the units anew. */
  readonly salt: string;
  /** Of a pair, whose answer is returned: this arm's, or that of the arm that the unit is assigned to. */
  readonly returned: "assigned" | { readonly arm: string };
  /** Requests for this model take part too, as far as they have the unit; null: only those for `experiment:<name>` do. */
  readonly defaultFor: string | null;
  /** The first decides, the others are watched. */
  readonly metrics: readonly [MetricDefinition, ...MetricDefinition[]];
  readonly plan: ExperimentPlan;
}

export interface ExperimentPlan {
  /** Probability that a difference is told where there is none, at whatever times one looks; in (0, 1). */
  readonly alpha: number;
  /** Units over all arms at which the intervals are to be narrowest. */
  readonly units: number;
  /** The smallest difference of the first metric that matters, in its own unit; null: any. */
  readonly minimumEffect: number | null;
}

/** Weights of the arms from some moment on. */
export interface Allocation {
  /** Milliseconds since the Unix epoch. */
  readonly from: number;
  /** By arm. */
  readonly weights: Readonly<Record<string, number>>;
}

export interface Experiment extends ExperimentDefinition {
  readonly state: ExperimentState;
  /** Milliseconds since the Unix epoch; null: not yet. */
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly stoppedAt: number | null;
  /** The arm that answers after the stop; null: the control. */
  readonly winner: string | null;
  /** Oldest first; the last is in force. `arms` has the last one's weights. */
  readonly allocations: readonly Allocation[];
}

/** One arm's answer to one request of an experiment. */
export interface Exposure {
  readonly experiment: string;
  /** The request's id, as its client knows it: what the arms' answers have in common. */
  readonly requestId: string;
  /** The answer's own id in the agreement log: the request's, or of a shadow another. */
  readonly answerId: string;
  readonly arm: string;
  readonly role: "returned" | "shadow";
  /** Hash of the user or of the header's value; the request's id where each request is a unit. */
  readonly unit: string;
  /** Index of the experiment's allocation that assigned it. */
  readonly allocation: number;
  /** When the unit was assigned, and when its answer was over, milliseconds since the Unix epoch. */
  readonly assignedAt: number;
  readonly endedAt: number;
  /** `dropped`: a shadow for which there was no room. */
  readonly status: "answered" | "failed" | "cancelled" | "dropped";
  /** From the question to the end of the answer, milliseconds; null unless it was answered. */
  readonly latencyMs: number | null;
  readonly completionTokens: number | null;
  /** Index of the choice that was answered; null where there were no choices, or no answer. */
  readonly chosen: number | null;
  /** Characters of the prompt: known before an arm was, so that it may explain variance. */
  readonly promptCharacters: number;
}

/** How many went to an arm. */
export interface ArmCount {
  readonly arm: string;
  readonly allocation: number;
  readonly role: Exposure["role"];
  readonly status: Exposure["status"];
  readonly answers: number;
  /** Of these, the first that were returned to their units: together the distinct units. */
  readonly units: number;
}

/** What feedback says of one arm's answer, or of a unit under its arm. */
export interface Judgement {
  readonly arm: string;
  readonly unit: string;
  /** Null where it is said of the unit. */
  readonly requestId: string | null;
  /** By the metric: 0 or 1 of a boolean. */
  readonly value: number;
  /** When both the answer and the feedback were there, milliseconds since the Unix epoch. */
  readonly at: number;
  readonly promptCharacters: number;
}

/** What a unit was worth under the arms, by one metric. */
export interface Observation {
  /** From 1, in the order in which the units were first judged. */
  readonly sequence: number;
  /** When that was, milliseconds since the Unix epoch. */
  readonly at: number;
  readonly unit: string;
  /** By arm, the mean over the unit's judged requests: of one arm in a split, of both in a pair. */
  readonly values: Readonly<Record<string, number>>;
  /** How many of the unit's judgements, or pairs of them, that mean is of. */
  readonly judged: number;
  /** Mean over these of ln(1 + characters of the prompt). */
  readonly covariate: number;
}

/** What feedback is about: one answer, or a unit of an experiment that assigns by user. */
export type FeedbackTarget =
  | { readonly kind: "answer"; readonly answerId: string; readonly requestId: string }
  | { readonly kind: "unit"; readonly unit: string };

export type FeedbackValue =
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "comment"; readonly text: string }
  /** The right answer; of a question with choices, the index of it. */
  | { readonly kind: "demonstration"; readonly text: string; readonly choice: number | null };

export interface Feedback {
  readonly id: string;
  /** The same key: the same feedback. */
  readonly key: string;
  /** Whose sample it is; null outside experiments. */
  readonly experiment: string | null;
  readonly target: FeedbackTarget;
  readonly metric: string;
  readonly value: FeedbackValue;
  readonly tags: Readonly<Record<string, string>>;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** `new`, `same` (it was there), `revised` (another value was there), or `conflict` (so it was, and still is). */
export type FeedbackOutcome = "new" | "same" | "revised" | "conflict";

/** What is kept of an answer so that feedback can judge it later: no text. */
export interface JudgeableAnswer {
  readonly answerId: string;
  readonly requestId: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** Hashes of the choices' values, in the order of the question; none for a free answer. */
  readonly choices: readonly string[];
  readonly chosen: number | null;
  readonly forecast: RawForecast | null;
}

/** A raw forecast and what came of it. */
export interface JudgedForecast extends RawForecast {
  readonly chosen: number | null;
  /** The right choice, where a demonstration named it. */
  readonly label: number | null;
  /** Whether the answer was right, where that was said. */
  readonly correct: boolean | null;
}

/** Experiments and what came of them. Of other processes that write too, whoever updates first wins. */
export interface ExperimentStore {
  /** False when the name is taken: nothing is written then. */
  create(experiment: Experiment): Promise<boolean>;
  /** The newest first. */
  list(): Promise<readonly Experiment[]>;
  /** Writes the experiment if its state is still `from`; tells whether. */
  update(experiment: Experiment, from: ExperimentState): Promise<boolean>;
  /** Removes a draft; tells whether there was one. */
  remove(name: string): Promise<boolean>;
  /** @throws Error when there is no such experiment, or the answer's id is taken */
  expose(exposure: Exposure): Promise<void>;
  /** All arms' of the request of this answer. */
  exposures(answerId: string): Promise<readonly Exposure[]>;
  /** Names of the experiments in which something was returned to the unit. */
  experimentsOf(unit: string): Promise<readonly string[]>;
  counts(experiment: string): Promise<readonly ArmCount[]>;
  /**
   * What is said by one metric, in the order in which it was said. `correct` is also what a demonstration makes of each
   * arm's choice. A unit that changed arms with the weights is judged in its first arm alone.
   */
  judgements(experiment: string, metric: string): Promise<readonly Judgement[]>;
}

export interface FeedbackStore {
  /** Writes what is new. Where its key has another target or value, that is replaced if `revise`, else left. */
  give(
    feedback: Feedback,
    revise: boolean,
  ): Promise<{ readonly id: string; readonly outcome: FeedbackOutcome }>;
  /** On an answer, oldest first. */
  about(answerId: string): Promise<readonly Feedback[]>;
  remember(answer: JudgeableAnswer): Promise<void>;
  judgeable(answerId: string): Promise<JudgeableAnswer | null>;
  /** Of every answer that feedback says the rightness of, by the last that was said. */
  judgedForecasts(): Promise<readonly JudgedForecast[]>;
  /** How many forecasts there are by each fingerprint, judged or not. */
  forecastCounts(): Promise<ReadonlyMap<string, number>>;
  /** By a metric or demonstrations, with the texts that the log has kept: oldest first. */
  examples(metric: string): Promise<readonly FeedbackExample[]>;
}

/** A prompt and what was said of its answer. */
export interface FeedbackExample {
  readonly prompt: string;
  readonly answer: string;
  readonly value: FeedbackValue;
}
