import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { Window } from "../../src/ports/observations.ts";
import { addSketch, addValue, quantile, type QuantileSketch } from "../../src/stats/quantile-sketch.ts";
import type { MemberSums } from "./schema.ts";

/** Of one answer, what windows are made of. */
export interface Counted {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly latencyMs: number;
  readonly firstTokenMs: number | null;
  readonly jsDivergence: number | null;
  readonly top1Agreement: number | null;
  readonly stateDistance: number | null;
  readonly confidence: number | null;
  readonly degraded: boolean;
  /** Each member's part: that it was there, its weight, whether it abstained, whether it was lost. */
  readonly members: readonly (readonly [member: string, sums: MemberSums])[];
}

/** A mean's parts. */
export type Mean = readonly [answers: number, sum: number];

/** Of many answers. Sums of disjoint sets of answers add up to those of all. */
export interface Sums {
  answers: number;
  degraded: number;
  promptTokens: number;
  completionTokens: number;
  readonly latency: QuantileSketch;
  readonly firstToken: QuantileSketch;
  divergence: Mean;
  top1: Mean;
  distance: Mean;
  confidence: Mean;
  readonly members: Map<string, MemberSums>;
}

export function noAnswers(): Sums {
  return {
    answers: 0,
    degraded: 0,
    promptTokens: 0,
    completionTokens: 0,
    latency: new Map(),
    firstToken: new Map(),
    divergence: [0, 0],
    top1: [0, 0],
    distance: [0, 0],
    confidence: [0, 0],
    members: new Map(),
  };
}

export function countedOf({ report, confidence, ...record }: LogRecord): Counted {
  const { promptTokens, completionTokens, latencyMs, firstTokenMs } = record;
  const { jsDivergence, top1Agreement, stateDistance } = report.agreement;
  return {
    promptTokens,
    completionTokens,
    latencyMs,
    firstTokenMs,
    jsDivergence,
    top1Agreement,
    stateDistance,
    confidence: confidence?.value ?? null,
    degraded: report.members.some(({ lost }) => lost !== undefined),
    members: report.members.map(({ id, weight, abstained, lost }) => [
      id,
      [1, weight, Number(abstained !== undefined), Number(lost !== undefined)],
    ]),
  };
}

/** Counts one answer in. */
export function addAnswer(sums: Sums, answer: Counted): void {
  sums.answers++;
  if (answer.degraded) sums.degraded++;
  sums.promptTokens += answer.promptTokens;
  sums.completionTokens += answer.completionTokens;
  addValue(sums.latency, answer.latencyMs);
  if (answer.firstTokenMs !== null) addValue(sums.firstToken, answer.firstTokenMs);
  sums.divergence = added(sums.divergence, meanOf(answer.jsDivergence));
  sums.top1 = added(sums.top1, meanOf(answer.top1Agreement));
  sums.distance = added(sums.distance, meanOf(answer.stateDistance));
  sums.confidence = added(sums.confidence, meanOf(answer.confidence));
  for (const [member, part] of answer.members) addMember(sums, member, part);
}

/** Adds the answers of `other` to `sums`. */
export function addSums(sums: Sums, other: Sums): void {
  sums.answers += other.answers;
  sums.degraded += other.degraded;
  sums.promptTokens += other.promptTokens;
  sums.completionTokens += other.completionTokens;
  addSketch(sums.latency, other.latency);
  addSketch(sums.firstToken, other.firstToken);
  sums.divergence = added(sums.divergence, other.divergence);
  sums.top1 = added(sums.top1, other.top1);
  sums.distance = added(sums.distance, other.distance);
  sums.confidence = added(sums.confidence, other.confidence);
  for (const [member, part] of other.members) addMember(sums, member, part);
}

/** @param share of the answers that was counted: counts are scaled up by it */
export function windowOf(start: number, sums: Sums, share: number): Window {
  const scaled = (count: number) => Math.round(count / share);
  const p50 = quantile(sums.latency, 0.5);
  const p95 = quantile(sums.latency, 0.95);
  const first = quantile(sums.firstToken, 0.5);
  const confidence = mean(sums.confidence);
  return {
    start,
    answers: scaled(sums.answers),
    degraded: scaled(sums.degraded),
    promptTokens: scaled(sums.promptTokens),
    completionTokens: scaled(sums.completionTokens),
    latencyMs: p50 === null || p95 === null ? null : { p50, p95 },
    firstTokenMs: first === null ? null : { p50: first },
    jsDivergence: mean(sums.divergence),
    top1Agreement: mean(sums.top1),
    stateDistance: mean(sums.distance),
    confidence: confidence === null ? null : { mean: confidence, answers: scaled(sums.confidence[0]) },
    members: [...sums.members]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([member, [answers, weight, abstentions, losses]]) => ({
        member,
        answers: scaled(answers),
        weight: weight / answers,
        abstentions: scaled(abstentions),
        losses: scaled(losses),
      })),
  };
}

function addMember({ members }: Sums, member: string, part: MemberSums): void {
  const before = members.get(member) ?? [0, 0, 0, 0];
  members.set(member, [before[0] + part[0], before[1] + part[1], before[2] + part[2], before[3] + part[3]]);
}

function meanOf(value: number | null): Mean {
  return value === null ? [0, 0] : [1, value];
}

function added(a: Mean, b: Mean): Mean {
  return [a[0] + b[0], a[1] + b[1]];
}

function mean([answers, sum]: Mean): number | null {
  return answers === 0 ? null : sum / answers;
}
