import { createRandom } from "../../src/linalg/random.ts";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { AnswerTrace } from "../../src/ports/answer-trace.ts";
import type {
  Alert,
  AnswerFilter,
  JudgedConfidence,
  LayerSimilarity,
  Observations,
  TimeRange,
  Window,
} from "../../src/ports/observations.ts";
import { createLogRecord } from "../contracts/log-record.ts";

export const MEMBERS = ["smollm2-135m-instruct", "gemma-3-270m"] as const;
/** 26 November 2026, 08:00 UTC. */
export const NOW = Date.UTC(2026, 10, 26, 8);

/** Markup and a formula, as prompts and models may bring them. */
export const HOSTILE = `<script>alert("x")</script><img src=x onerror=alert(1)>&amp;'"=1+1`;

export interface ScriptedLog {
  readonly records: readonly LogRecord[];
  readonly traces?: ReadonlyMap<string, AnswerTrace> | undefined;
  readonly similarities?: readonly LayerSimilarity[] | undefined;
  readonly alerts?: readonly Alert[] | undefined;
  readonly judged?: readonly JudgedConfidence[] | undefined;
}

/** What the port promises, over records in memory and without haste. */
export function scriptedObservations(log: ScriptedLog): Observations {
  const { records, traces = new Map(), similarities = [], alerts = [], judged = [] } = log;
  const inRange = ({ from, to }: TimeRange, filter: AnswerFilter = {}): LogRecord[] =>
    records.filter((record) => record.createdAt >= from && record.createdAt < to && fits(record, filter));
  return {
    async windows(range, widthMs, filter) {
      if (widthMs % 60_000 !== 0)
        throw new RangeError(`a width of ${widthMs} ms is no whole number of minutes`);
      const buckets = new Map<number, LogRecord[]>();
      for (const record of inRange(range, filter)) {
        const start = widthMs * Math.floor(record.createdAt / widthMs);
        buckets.set(start, [...(buckets.get(start) ?? []), record]);
      }
      const windows = [...buckets]
        .sort(([a], [b]) => a - b)
        .map(([start, own]) => windowOf(Math.max(start, range.from), own));
      return { windows, share: 1, complete: true };
    },
    async answers({ range, filter, order, limit, cursor }) {
      if (cursor !== undefined && !/^\d+$/.test(cursor)) throw new RangeError("a cursor of another order");
      const first = Number(cursor ?? 0);
      const sorted = inRange(range, filter).sort((a, b) =>
        order === "time"
          ? b.createdAt - a.createdAt
          : (b.report.agreement.jsDivergence ?? -1) - (a.report.agreement.jsDivergence ?? -1),
      );
      const next = first + limit < sorted.length ? String(first + limit) : null;
      return { answers: sorted.slice(first, first + limit), next };
    },
    async answer(requestId) {
      const record = records.find((one) => one.requestId === requestId);
      return record === undefined ? null : { record, trace: traces.get(requestId) ?? null };
    },
    similarities: async ({ from, to }) => similarities.filter(({ start, end }) => start < to && end > from),
    alerts: async ({ from, to }) => alerts.filter(({ at }) => at >= from && at < to),
    judged: async () => judged,
    size: async () => ({
      answers: records.length,
      oldest: records[0]?.createdAt ?? null,
      newest: records.at(-1)?.createdAt ?? null,
      bytes: 1000 * records.length,
      freeBytes: 0,
      uncounted: 0,
    }),
  };
}

/** A day of answers, one every three minutes, whose members drift apart in the last third. */
export function aDay(): ScriptedLog {
  const random = createRandom(7);
  const records = Array.from({ length: 480 }, (_, i): LogRecord => {
    const drift = i > 320 ? 0.08 : 0;
    const divergence = 0.09 + drift + 0.05 * random.next() + 0.02 * Math.sin(i / 30);
    const latencyMs = 500 + 420 * random.next() + (i % 57 === 0 ? 2600 : 0);
    const base = createLogRecord({
      requestId: `chatcmpl-${String(i).padStart(4, "0")}`,
      createdAt: NOW - (480 - i) * 180_000 + 60_000,
      latencyMs,
      firstTokenMs: 60 + 70 * random.next(),
      promptTokens: 20 + Math.floor(40 * random.next()),
      completionTokens: 12 + Math.floor(80 * random.next()),
      confidence: i % 3 === 0 ? { value: 0.55 + 0.44 * random.next(), kind: "choice" } : null,
      text:
        i % 2 === 0
          ? { prompt: PROMPTS[(i / 2) % PROMPTS.length] ?? "", answer: " Paris, on the Seine." }
          : null,
      agreement: {
        jsDivergence: divergence,
        top1Agreement: 0.92 - 1.6 * divergence,
        stateDistance: 0.3 + divergence,
      },
    });
    const members = base.report.members.map((member, m) => ({
      ...member,
      id: MEMBERS[m] ?? member.id,
      weight: m === 0 ? 0.42 - drift : 0.58 + drift,
      ...(i === 470 && m === 1 ? { lost: { position: 17, reason: "silent for 20 s" } } : {}),
    }));
    return { ...base, report: { ...base.report, members } };
  });
  const last = records.at(-2)?.requestId ?? "";
  return {
    records,
    traces: new Map([
      [last, aTrace(true)],
      [records.at(-1)?.requestId ?? "", aTrace(false)],
    ]),
    similarities: similaritiesOf(8),
    alerts: [
      {
        at: NOW - 7 * 3_600_000,
        signal: "js_divergence",
        member: null,
        direction: "up",
        value: 0.187,
        reference: 0.115,
        falseAlarmRate: 1 / 20_000,
      },
      {
        at: NOW - 6 * 3_600_000,
        signal: "weight",
        member: MEMBERS[1],
        direction: "up",
        value: 0.66,
        reference: 0.58,
        falseAlarmRate: 1 / 20_000,
      },
    ],
  };
}

const PROMPTS = [
  "What is the capital of France?",
  HOSTILE,
  "Name three rivers in France, and say which of them is the longest; then write down where each of them ends.",
  "Translate: the cat sat on the mat.",
];

const WORDS =
  "The capital of France is Paris , a city on the Seine . It has about two million people .".split(" ");

/** An answer of these words: with the members' choices, or only numbers. */
export function aTrace(kept: boolean): AnswerTrace {
  const random = createRandom(3);
  const positions = WORDS.map((_, i) => ({
    divergence: i === 6 ? null : Math.min(Math.LN2, (i % 5 === 3 ? 0.45 : 0.02) + 0.18 * random.next() ** 2),
    logprob: -0.05 - 1.6 * random.next(),
    weights: [0.35 + 0.2 * random.next(), 0.45 + 0.2 * random.next()],
  }));
  const tokens = WORDS.map((word, i) => ({
    text: i === 0 ? word : ` ${word}`,
    choices: [
      [
        { text: i === 0 ? word : ` ${word}`, probability: 0.61 },
        { text: i === 5 ? HOSTILE : " the", probability: 0.12 },
        { text: " Lyon", probability: 0.06 },
        { text: "\n", probability: 0.03 },
      ],
      i === 9
        ? []
        : [
            { text: " a", probability: 0.41 },
            { text: i === 0 ? word : ` ${word}`, probability: 0.33 },
          ],
    ],
  }));
  return { members: [...MEMBERS], positions, tokens: kept ? tokens : null };
}

/** Windows of three hours whose deep layers grow apart. */
function similaritiesOf(windows: number): LayerSimilarity[] {
  const width = 3 * 3_600_000;
  return Array.from({ length: windows }, (_, w) =>
    [0, 8, 15, 23, 30].flatMap((layerA) =>
      [0, 5, 9, 14, 18].map((layerB) => ({
        start: NOW - (windows - w) * width,
        end: NOW - (windows - w - 1) * width,
        memberA: MEMBERS[0],
        memberB: MEMBERS[1],
        layerA,
        layerB,
        value: 0.92 * Math.exp(-8 * (layerA / 30 - layerB / 18) ** 2) - (w > 5 ? 0.15 * (layerA / 30) : 0),
        positions: 4000 + 37 * w,
      })),
    ),
  ).flat();
}

function fits({ model, report, confidence, experiment }: LogRecord, filter: AnswerFilter): boolean {
  const { minDivergence, degraded, minConfidence, maxConfidence } = filter;
  return (
    (filter.model ?? model) === model &&
    (filter.answeredBy ?? report.answeredBy) === report.answeredBy &&
    (filter.member === undefined || report.members.some(({ id }) => id === filter.member)) &&
    (minDivergence === undefined || (report.agreement.jsDivergence ?? -1) >= minDivergence) &&
    (degraded === undefined || degraded === report.members.some(({ lost }) => lost !== undefined)) &&
    (filter.experiment === undefined || filter.experiment === experiment?.name) &&
    (filter.arm === undefined || filter.arm === experiment?.arm) &&
    (minConfidence === undefined || (confidence?.value ?? -1) >= minConfidence) &&
    (maxConfidence === undefined || (confidence?.value ?? 2) <= maxConfidence)
  );
}

function windowOf(start: number, own: readonly LogRecord[]): Window {
  const latency = own.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  const first = own.flatMap(({ firstTokenMs }) => firstTokenMs ?? []).sort((a, b) => a - b);
  const confidences = own.flatMap(({ confidence }) => confidence?.value ?? []);
  const agreement = (of: (record: LogRecord) => number | null): number | null =>
    mean(own.flatMap((one) => of(one) ?? []));
  const ids = [...new Set(own.flatMap(({ report }) => report.members.map(({ id }) => id)))];
  return {
    start,
    answers: own.length,
    degraded: own.filter(({ report }) => report.members.some(({ lost }) => lost !== undefined)).length,
    promptTokens: own.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
    completionTokens: own.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
    latencyMs: { p50: quantileOf(latency, 0.5), p95: quantileOf(latency, 0.95) },
    firstTokenMs: first.length === 0 ? null : { p50: quantileOf(first, 0.5) },
    jsDivergence: agreement(({ report }) => report.agreement.jsDivergence),
    top1Agreement: agreement(({ report }) => report.agreement.top1Agreement),
    stateDistance: agreement(({ report }) => report.agreement.stateDistance),
    confidence:
      confidences.length === 0 ? null : { mean: mean(confidences) ?? 0, answers: confidences.length },
    members: ids.map((member) => {
      const theirs = own.flatMap(({ report }) => report.members.filter(({ id }) => id === member));
      return {
        member,
        answers: theirs.length,
        weight: mean(theirs.map(({ weight }) => weight)) ?? 0,
        abstentions: theirs.filter(({ abstained }) => abstained !== undefined).length,
        losses: theirs.filter(({ lost }) => lost !== undefined).length,
      };
    }),
  };
}

function quantileOf(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
