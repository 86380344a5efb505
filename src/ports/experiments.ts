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
  /** The request's id, as its client knows it. */
  readonly requestId: string;
  /** The answer's own id in the agreement log: the request's, or of a shadow another. */
  readonly answerId: string;
  readonly arm: string;
  readonly role: "returned" | "shadow";
  /** Hash of the user or of the header's value; the request's id where each request is a unit. */
  readonly unit: string;
  /** Which of the experiment's allocations assigned it. */
  readonly allocation: number;
  /** When the unit was assigned, milliseconds since the Unix epoch. */
  readonly at: number;
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

/** What a unit was worth under the arms, by one metric. */
export interface Observation {
  /** Ascending in the order in which the feedback came that made it complete. */
  readonly sequence: number;
  /** When that was, milliseconds since the Unix epoch. */
  readonly at: number;
  readonly unit: string;
  /** By arm, the mean over the unit's judged requests: of one arm in a split, of both in a pair. */
  readonly values: Readonly<Record<string, number>>;
  /** How many requests of the unit were judged. */
  readonly requests: number;
  /** Mean over these of ln(1 + characters of the prompt). */
  readonly covariate: number;
}

/** How many went where. */
export interface ArmCount {
  readonly arm: string;
  /** Distinct units whose answer was returned by this arm. */
  readonly units: number;
  /** Of all units, how many the allocations in force would have given it on average; null where it is not assigned. */
  readonly expectedUnits: number | null;
  /** Answers by status, the shadows' among them. */
  readonly answered: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly dropped: number;
}

/** What feedback is about: one request, or a unit of the experiments that assign by user. */
export type FeedbackTarget =
  | { readonly kind: "request"; readonly requestId: string }
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
  readonly target: FeedbackTarget;
  readonly metric: string;
  readonly value: FeedbackValue;
  readonly tags: Readonly<Record<string, string>>;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** Of an answer whose confidence can be judged later: what is needed for that, and no text. */
export interface JudgeableAnswer {
  readonly answerId: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** Hashes of the choices' values, in the order of the question; none for a free answer. */
  readonly choices: readonly string[];
  readonly chosen: number | null;
  readonly forecast: RawForecast | null;
}

/** Probabilities as they were before calibration, and by whom. */
export interface RawForecast {
  /** Fingerprint of the decider's or judge's weights. */
  readonly by: string;
  /** Of each choice, together 1; of a free answer one number, that it is right. */
  readonly probabilities: readonly number[];
}

/** A raw forecast and what came of it. */
export interface JudgedForecast extends RawForecast {
  /** The right choice; null where it is not known. */
  readonly label: number | null;
  /** Whether the answer was right; null where it is not known. */
  readonly correct: boolean | null;
}

export interface ExperimentStore {
  /** False when the name is taken: nothing is written then. */
  create(experiment: Experiment): Promise<boolean>;
  /** By time, the newest first. */
  list(): Promise<readonly Experiment[]>;
  find(name: string): Promise<Experiment | null>;
  /** Writes the experiment if it is still in `from`; tells whether. */
  update(experiment: Experiment, from: ExperimentState): Promise<boolean>;
  /** @throws Error when there is no such experiment, or an answer id is taken */
  expose(exposure: Exposure): Promise<void>;
  /** All arms' of one request. */
  exposures(requestId: string): Promise<readonly Exposure[]>;
  /** Experiments in which something was returned to the unit. */
  experimentsOf(unit: string): Promise<readonly string[]>;
  /** In the order of the arms. */
  counts(experiment: string): Promise<readonly ArmCount[]>;
  /** In the order of their sequence. A unit whose arm changed with the weights counts in its first. */
  observations(experiment: string, metric: string): Promise<readonly Observation[]>;
  close(): Promise<void>;
}

export interface FeedbackStore {
  /**
   * Writes it unless its key is there with the same target, metric and value. A key that is there with others: `revise`
   * replaces them, else nothing is written.
   */
  give(
    feedback: Feedback,
    revise: boolean,
  ): Promise<{ readonly id: string; readonly outcome: FeedbackOutcome }>;
  /** All feedback on a request, oldest first. */
  of(requestId: string): Promise<readonly Feedback[]>;
  remember(answer: JudgeableAnswer): Promise<void>;
  judgeable(answerId: string): Promise<JudgeableAnswer | null>;
  /** Every forecast, with what feedback says of it, in the order of the answers. */
  forecasts(since: number): AsyncIterable<JudgedForecast>;
}

/** `new`, `same` (counted before), `revised`, or `conflict` (nothing written). */
export type FeedbackOutcome = "new" | "same" | "revised" | "conflict";
