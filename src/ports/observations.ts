import type { LogRecord } from "./agreement-log.ts";
import type { AnswerTrace } from "./answer-trace.ts";

/**
 * What the log tells of many answers: the reading side, for pages and reports. Every call does a bounded amount of
 * work, however large the log is; where that is not enough for a whole answer, the result says how far it goes.
 */
export interface Observations {
  /**
   * One bucket per `widthMs` that has answers, oldest first. Buckets begin at whole multiples of the width since the Unix
   * epoch; the first and last are cut to the range.
   * @throws RangeError when the range has more than 1,000 buckets, or the width is no whole number of minutes
   */
  windows(range: TimeRange, widthMs: number, filter?: AnswerFilter): Promise<Windows>;
  /** One page of the answers in the range. @throws RangeError for a limit outside 1 to 1,000, or a cursor of another order */
  answers(query: AnswersQuery): Promise<AnswersPage>;
  /** Everything the log has of one answer, token by token; null when there is none of that id. */
  answer(requestId: string): Promise<ObservedAnswer | null>;
  /**
   * Similarities of members' layers measured in windows that overlap the range, oldest first; at most about 10,000: of more,
   * those of windows spaced evenly, the newest among them.
   */
  similarities(range: TimeRange): Promise<readonly LayerSimilarity[]>;
  /** Alerts raised in the range, newest first; at most 1,000. */
  alerts(range: TimeRange): Promise<readonly Alert[]>;
  /**
   * Confidences of answers in the range that feedback has judged, by `correct` or a demonstration, as it last did: in the
   * order of judgement, from the newest 20,000 judgements of the log.
   */
  judged(range: TimeRange): Promise<readonly JudgedConfidence[]>;
  /** How large the log is. */
  size(): Promise<LogSize>;
}

/** Who measures the traffic writes here, beside the answers themselves. */
export interface ObservationWriter {
  /** All of one window in one transaction. Measured again, a window's value replaces the one before. */
  appendSimilarities(similarities: readonly LayerSimilarity[]): Promise<void>;
  appendAlert(alert: Alert): Promise<void>;
}

/** From `from` (inclusive) to `to` (exclusive), milliseconds since the Unix epoch. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

/** Answers that fit all of what is given. */
export interface AnswerFilter {
  /** The model that was asked for. */
  readonly model?: string | undefined;
  /** The ensemble or the member that answered. */
  readonly answeredBy?: string | undefined;
  /** Whose answers this member had a part in. */
  readonly member?: string | undefined;
  /** Mean Jensen–Shannon divergence of at least this, nats. */
  readonly minDivergence?: number | undefined;
  /** Whether a member was lost on the way. */
  readonly degraded?: boolean | undefined;
  readonly experiment?: string | undefined;
  readonly arm?: string | undefined;
  /** Confidence of at least this, in [0, 1]; answers without one do not fit. */
  readonly minConfidence?: number | undefined;
  /** Confidence of at most this, in [0, 1]; answers without one do not fit. */
  readonly maxConfidence?: number | undefined;
}

export interface Windows {
  readonly windows: readonly Window[];
  /**
   * The share of the answers in the range that was looked at, in (0, 1]. 1: all counts are exact. Below 1 they are
   * estimates, from answers spaced evenly over the range: member, divergence and confidence are not in the rollups, and
   * too many answers to read lie in the range.
   */
  readonly share: number;
  /** False while answers from before an update of Concord are still being counted in the background. */
  readonly complete: boolean;
}

/** The answers of one bucket. Means are null where there was nothing to compute them from. */
export interface Window {
  /** Milliseconds since the Unix epoch. */
  readonly start: number;
  readonly answers: number;
  /** Of them, those on whose way a member was lost. */
  readonly degraded: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Whole answers, milliseconds, to 2 %. */
  readonly latencyMs: { readonly p50: number; readonly p95: number } | null;
  /** Up to the first token, milliseconds, to 2 %. */
  readonly firstTokenMs: { readonly p50: number } | null;
  /** Mean over the answers that have one, nats. */
  readonly jsDivergence: number | null;
  /** Mean over the answers that have one, in [0, 1]. */
  readonly top1Agreement: number | null;
  /** Mean over the answers that have one, in [0, 2]. */
  readonly stateDistance: number | null;
  readonly confidence: { readonly mean: number; readonly answers: number } | null;
  readonly members: readonly MemberWindow[];
}

/** What one member did in a bucket. */
export interface MemberWindow {
  readonly member: string;
  /** That it had a part in. */
  readonly answers: number;
  /** Mean over these. */
  readonly weight: number;
  /** Of these, those in which it gave no state at a position at least. */
  readonly abstentions: number;
  /** Of these, those that went on without it. */
  readonly losses: number;
}

/** `time`: newest first. `disagreement`: highest divergence first, those without one last. */
export type AnswerOrder = "time" | "disagreement";

export interface AnswersQuery {
  readonly range: TimeRange;
  readonly filter?: AnswerFilter | undefined;
  readonly order: AnswerOrder;
  /** At most so many; 1 to 1,000. */
  readonly limit: number;
  /** `next` of the page before. */
  readonly cursor?: string | undefined;
}

export interface AnswersPage {
  readonly answers: readonly LogRecord[];
  /**
   * Goes on after this page; null when there is no more. A page may be shorter than asked, even empty, and still have a
   * next one: a rare filter is looked for in a bounded number of answers at a time.
   */
  readonly next: string | null;
}

export interface ObservedAnswer {
  readonly record: LogRecord;
  /** Null in answers from before it was kept, and of no tokens. */
  readonly trace: AnswerTrace | null;
}

/** How alike the states of two members' layers were over a window of live traffic. */
export interface LayerSimilarity {
  /** Milliseconds since the Unix epoch. */
  readonly start: number;
  readonly end: number;
  readonly memberA: string;
  readonly memberB: string;
  readonly layerA: number;
  readonly layerB: number;
  /** Debiased linear CKA: about 0 for unrelated states, at most 1. */
  readonly value: number;
  /** Of text, that it was measured at. */
  readonly positions: number;
}

/** A signal that moved. */
export interface Alert {
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** `js_divergence`, `top1_agreement`, `confidence`, … */
  readonly signal: string;
  /** Whose signal it is; null for one of the ensemble. */
  readonly member: string | null;
  readonly direction: "up" | "down";
  /** What it was when the alert was raised. */
  readonly value: number;
  /** What it was held against. */
  readonly reference: number;
  /** The rate of false alarms that the detector was set to, per answer. */
  readonly falseAlarmRate: number;
}

/** A confidence and what came of it, joined from feedback. */
export interface JudgedConfidence {
  readonly confidence: number;
  readonly correct: boolean;
}

export interface LogSize {
  /** From the first id to the last: more than there are where some between were deleted by hand. */
  readonly answers: number;
  /** Milliseconds since the Unix epoch; null for an empty log. */
  readonly oldest: number | null;
  readonly newest: number | null;
  /** Of the database, with what is free in it; null where it does not tell, as D1. */
  readonly bytes: number | null;
  readonly freeBytes: number | null;
  /** Answers from before an update of Concord that are not counted in the rollups yet. */
  readonly uncounted: number;
}
