import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgreementLog, LogRecord } from "../../src/ports/agreement-log.ts";
import type { AnswerTrace } from "../../src/ports/answer-trace.ts";
import type { Feedback, FeedbackStore, FeedbackValue } from "../../src/ports/experiments.ts";
import type {
  Alert,
  AnswerFilter,
  AnswersQuery,
  LayerSimilarity,
  Observations,
  ObservationWriter,
  Window,
} from "../../src/ports/observations.ts";
import { createLogRecord } from "./log-record.ts";

export interface OpenObservations {
  readonly log: AgreementLog;
  readonly observations: Observations & ObservationWriter;
  /** Over the same database. */
  readonly feedback: FeedbackStore;
}

const minute = 60_000;
const hour = 60 * minute;
const start = Date.UTC(2026, 2, 3, 22);
const everything = { from: 0, to: start + 1000 * hour };

/** What observations over every database do. `open` gives an empty one each time. */
export function describeObservations(name: string, open: () => Promise<OpenObservations>): void {
  describe(`observations over ${name}`, () => {
    let log: AgreementLog;
    let observations: Observations & ObservationWriter;
    let feedback: FeedbackStore;
    beforeEach(async () => {
      ({ log, observations, feedback } = await open());
    });
    afterEach(() => log.close());

    const append = async (records: readonly LogRecord[]) => {
      for (const record of records) await log.append(record);
    };

    /** All pages, one after the other. */
    const walk = async (query: Omit<AnswersQuery, "cursor">): Promise<string[]> => {
      const ids: string[] = [];
      let cursor: string | undefined;
      for (let pages = 0; pages < 200; pages++) {
        const page = await observations.answers({ ...query, cursor });
        expect(page.answers.length).toBeLessThanOrEqual(query.limit);
        ids.push(...page.answers.map(({ requestId }) => requestId));
        if (page.next === null) return ids;
        cursor = page.next;
      }
      throw new Error("the pages do not end");
    };

    test("windows equal sums over the records in memory, for any range, width and filter", async () => {
      const records = scattered();
      await append(records);
      await fc.assert(
        fc.asyncProperty(ranges, widths, filters, async (range, widthMs, filter) => {
          const { windows, share, complete } = await observations.windows(range, widthMs, filter);
          expect({ share, complete }).toEqual({ share: 1, complete: true });
          const wanted = windowsInMemory(records, range, widthMs, filter);
          expect(windows.map(exactly)).toEqual(wanted.map(exactly));
          windows.forEach((window, i) => expectQuantiles(window, wanted[i]));
        }),
        { numRuns: 60, seed: 11 },
      );
    });

    test("pages put together equal the records filtered and sorted in memory, for any page size", async () => {
      const records = scattered();
      await append(records);
      await fc.assert(
        fc.asyncProperty(
          ranges,
          filters,
          fc.constantFrom("time" as const, "disagreement" as const),
          fc.integer({ min: 1, max: 30 }),
          async (range, filter, order, limit) => {
            const wanted = records
              .filter((record) => fits(record, range, filter))
              .toSorted(
                (a, b) => (order === "time" ? 0 : divergence(b) - divergence(a)) || b.createdAt - a.createdAt,
              );
            expect(await walk({ range, filter, order, limit })).toEqual(
              wanted.map(({ requestId }) => requestId),
            );
          },
        ),
        { numRuns: 40, seed: 12 },
      );
    });

    test("a page goes on where the one before ended, whatever was added meanwhile", async () => {
      await append([recordAt("a", 1), recordAt("b", 2), recordAt("c", 3)]);
      const query = { range: everything, order: "time", limit: 2 } as const;
      const first = await observations.answers(query);
      await append([recordAt("d", 4)]);
      const second = await observations.answers({ ...query, cursor: first.next ?? "" });
      expect([...first.answers, ...second.answers].map(({ requestId }) => requestId)).toEqual([
        "c",
        "b",
        "a",
      ]);
    });

    test("an answer is told with its trace, in the steps the port states", async () => {
      const record = createLogRecord({ text: { prompt: "p", answer: "Grüße" } });
      await log.append(record, trace);
      const answer = await observations.answer(record.requestId);
      expect(answer?.record).toStrictEqual(record);
      expect(answer?.trace?.members).toEqual(["member-0", "member-1"]);
      expect(answer?.trace?.tokens).toEqual(trace.tokens);
      trace.positions.forEach(({ divergence: d, logprob, weights }, t) => {
        const stored = answer?.trace?.positions[t];
        if (d === null) expect(stored?.divergence).toBeNull();
        else expect(Math.abs((stored?.divergence ?? -1) - d)).toBeLessThanOrEqual(Math.LN2 / 508 + 1e-12);
        const step = logprob < -1 ? 0.2 : 0.06;
        expect(Math.abs((stored?.logprob ?? 1) - logprob)).toBeLessThanOrEqual(step);
        weights.forEach((weight, m) =>
          expect(Math.abs((stored?.weights[m] ?? -1) - weight)).toBeLessThanOrEqual(0.002),
        );
      });
    });

    test("an answer without a trace, or with one without tokens, says so", async () => {
      await log.append(createLogRecord({ requestId: "bare" }));
      await log.append(createLogRecord({ requestId: "private" }), { ...trace, tokens: null });
      expect((await observations.answer("bare"))?.trace).toBeNull();
      const kept = (await observations.answer("private"))?.trace;
      expect(kept?.positions).toHaveLength(trace.positions.length);
      expect(kept?.tokens).toBeNull();
      expect(await observations.answer("unknown")).toBeNull();
    });

    test("similarities come back by window, and one measured again replaces the one before", async () => {
      const later = similarity({ start: start + hour, end: start + 2 * hour, layerA: 3 });
      await observations.appendSimilarities([later, similarity({ layerB: 9 }), similarity({})]);
      await observations.appendSimilarities([similarity({ value: 0.25, positions: 7 })]);
      await observations.appendSimilarities([]);
      expect(await observations.similarities(everything)).toEqual([
        similarity({ value: 0.25, positions: 7 }),
        similarity({ layerB: 9 }),
        later,
      ]);
      expect(await observations.similarities({ from: start + hour, to: start + hour + 1 })).toEqual([later]);
    });

    test("a window of similarities longer than a day is refused", async () => {
      await expect(observations.appendSimilarities([similarity({ end: start + 25 * hour })])).rejects.toThrow(
        "similarities: expected windows of at most a day",
      );
      expect(await observations.similarities(everything)).toEqual([]);
    });

    test("alerts come back as they were raised, the newest first", async () => {
      const alert: Alert = {
        at: start,
        signal: "js_divergence",
        member: null,
        direction: "up",
        value: 0.4,
        reference: 0.1,
        falseAlarmRate: 1e-5,
      };
      const later: Alert = { ...alert, at: start + 1, member: "member-1", direction: "down" };
      await observations.appendAlert(alert);
      await observations.appendAlert(later);
      expect(await observations.alerts(everything)).toEqual([later, alert]);
      expect(await observations.alerts({ from: start, to: start + 1 })).toEqual([alert]);
    });

    test("answers are judged by what was said last of each, by a demonstration too, if they had a confidence", async () => {
      await append([
        confident("right", 0.75, start),
        confident("shown", 0.5, start + 1),
        confident("corrected", 0.25, start + 2),
        confident("late", 0.125, start + hour),
        createLogRecord({ requestId: "untold", createdAt: start, confidence: null }),
      ]);
      await feedback.remember({
        answerId: "shown",
        requestId: "shown",
        at: start,
        choices: ["a", "b"],
        chosen: 1,
        forecast: null,
      });
      await feedback.give(said("right", "correct", { kind: "boolean", value: true }), false);
      await feedback.give(said("untold", "correct", { kind: "boolean", value: true }), false);
      await feedback.give(said("corrected", "correct", { kind: "boolean", value: true }), false);
      await feedback.give(
        said("shown", "demonstration", { kind: "demonstration", text: "a", choice: 0 }),
        false,
      );
      await feedback.give(said("late", "correct", { kind: "boolean", value: true }), false);
      await feedback.give(said("late", "stars", { kind: "number", value: 1 }), false);
      await feedback.give(said("corrected", "correct", { kind: "boolean", value: false }, "again"), false);
      await feedback.give(said("right", "comment", { kind: "comment", text: "well" }), false);
      expect(await observations.judged({ from: start, to: start + hour })).toEqual([
        { confidence: 0.75, correct: true },
        { confidence: 0.25, correct: false },
        { confidence: 0.5, correct: false },
      ]);
      expect(await observations.judged({ from: start + hour, to: start + 2 * hour })).toEqual([
        { confidence: 0.125, correct: true },
      ]);
    });

    test("the size tells how many answers there are and from when to when", async () => {
      expect(await observations.size()).toMatchObject({
        answers: 0,
        oldest: null,
        newest: null,
        uncounted: 0,
      });
      await append([recordAt("a", 5), recordAt("b", 9)]);
      expect(await observations.size()).toMatchObject({ answers: 2, oldest: 5, newest: 9, uncounted: 0 });
    });

    test.each([0, 1001, 1.5, Number.NaN])("a page of %d answers is refused", async (limit) => {
      await expect(observations.answers({ range: everything, order: "time", limit })).rejects.toThrow(
        `answers: limit must be a whole number from 1 to 1000, got ${limit}`,
      );
    });

    test("a cursor of the other order, or none at all, is refused", async () => {
      await append([recordAt("a", 1), recordAt("b", 2)]);
      const { next } = await observations.answers({ range: everything, order: "time", limit: 1 });
      for (const cursor of [next ?? "", "no cursor", ""]) {
        await expect(
          observations.answers({ range: everything, order: "disagreement", limit: 1, cursor }),
        ).rejects.toThrow("answers: expected the cursor of a page ordered by disagreement");
      }
    });

    test("a range of too many windows, a width between minutes and an empty range are refused", async () => {
      const year = { from: start, to: start + 365 * 24 * hour };
      await expect(observations.windows(year, minute)).rejects.toThrow(
        "windows: expected at most 1000 windows",
      );
      await expect(observations.windows(year, 90_000)).rejects.toThrow(
        "windows: expected a width of whole minutes",
      );
      await expect(observations.windows({ from: 5, to: 5 }, minute)).rejects.toThrow(
        "observations: expected a range that begins before it ends, got 5 to 5",
      );
    });
  });
}

const trace: AnswerTrace = {
  members: ["member-0", "member-1"],
  positions: [
    { divergence: 0, logprob: 0, weights: [0, 1] },
    { divergence: Math.LN2, logprob: -0.3, weights: [0.25, 0.75] },
    { divergence: 0.1, logprob: -1, weights: [1 / 3, 2 / 3] },
    { divergence: null, logprob: -9.7, weights: [1, 0] },
  ],
  tokens: ["Gr", "ü", "ß", "e"].map((text) => ({
    text,
    choices: [
      [
        { text, probability: 0.75 },
        { text: "'x\u0001", probability: 0.0001 },
      ],
      [],
    ],
  })),
};

function similarity(changes: Partial<LayerSimilarity>): LayerSimilarity {
  return {
    start,
    end: start + hour,
    memberA: "member-0",
    memberB: "member-1",
    layerA: 1,
    layerB: 2,
    value: 2 / 3,
    positions: 400,
    ...changes,
  };
}

function recordAt(requestId: string, createdAt: number): LogRecord {
  return createLogRecord({ requestId, createdAt });
}

/** Four hours around midnight of answers of all kinds, three a minute at most. */
function scattered(): LogRecord[] {
  return Array.from({ length: 160 }, (_, index) => {
    const record = createLogRecord({
      requestId: `r${index}`,
      createdAt: start + ((index * 89) % 160) * 90_123,
      model: ["concord", "concord", "member-0", "experiment:fit"][index % 4] ?? "concord",
      members: 1 + (index % 3),
      latencyMs: 20 * 1.05 ** (index % 100),
      firstTokenMs: index % 6 === 0 ? null : 3 * 1.05 ** (index % 50),
      confidence: index % 5 === 0 ? { value: (index % 10) / 10 + 0.05, kind: "choice" } : null,
      experiment: index % 4 === 3 ? { name: "fit", arm: index % 8 === 3 ? "old" : "new" } : null,
      agreement:
        index % 7 === 0 ? { jsDivergence: null, top1Agreement: null } : { jsDivergence: (index % 9) / 16 },
    });
    const members = record.report.members.map((member, m) =>
      Object.assign(
        {},
        member,
        index % 11 === 0 && m === 1 ? { abstained: { positions: 3, reason: "slow" } } : {},
        index % 13 === 0 && m === 0 ? { lost: { position: 2, reason: "it ended" } } : {},
      ),
    );
    return { ...record, report: { ...record.report, members } };
  });
}

const moments = fc.integer({ min: start - hour, max: start + 5 * hour });
const ranges = fc
  .tuple(
    fc.oneof(moments, fc.constantFrom(start, start + hour)),
    fc.oneof(moments, fc.constantFrom(start + 2 * hour)),
  )
  .filter(([from, to]) => from < to)
  .map(([from, to]) => ({ from, to }));
const widths = fc.constantFrom(minute, 5 * minute, hour, 2 * hour, 24 * hour, 48 * hour);
const filters: fc.Arbitrary<AnswerFilter> = fc.oneof(
  fc.constant({}),
  fc.constantFrom<AnswerFilter>(
    { model: "concord" },
    { answeredBy: "member-0" },
    { member: "member-1" },
    { minDivergence: 0.25 },
    { degraded: true },
    { degraded: false, model: "concord" },
    { experiment: "fit" },
    { experiment: "fit", arm: "new" },
    { minConfidence: 0.5 },
    { maxConfidence: 0.5, member: "member-2" },
    { model: "unknown" },
  ),
);

const divergence = ({ report }: LogRecord) => report.agreement.jsDivergence ?? -1;

function fits(record: LogRecord, { from, to }: { from: number; to: number }, filter: AnswerFilter): boolean {
  const { report, confidence, experiment, createdAt, model } = record;
  return (
    createdAt >= from &&
    createdAt < to &&
    (filter.model === undefined || model === filter.model) &&
    (filter.answeredBy === undefined || report.answeredBy === filter.answeredBy) &&
    (filter.member === undefined || report.members.some(({ id }) => id === filter.member)) &&
    (filter.minDivergence === undefined || divergence(record) >= filter.minDivergence) &&
    (filter.degraded === undefined || isDegraded(record) === filter.degraded) &&
    (filter.experiment === undefined || experiment?.name === filter.experiment) &&
    (filter.arm === undefined || experiment?.arm === filter.arm) &&
    (filter.minConfidence === undefined || (confidence?.value ?? -1) >= filter.minConfidence) &&
    (filter.maxConfidence === undefined || (confidence?.value ?? 2) <= filter.maxConfidence)
  );
}

const isDegraded = ({ report }: LogRecord) => report.members.some(({ lost }) => lost !== undefined);

function windowsInMemory(
  records: readonly LogRecord[],
  range: { from: number; to: number },
  widthMs: number,
  filter: AnswerFilter,
): Window[] {
  const chosen = records.filter((record) => fits(record, range, filter));
  const starts = [...new Set(chosen.map(({ createdAt }) => Math.floor(createdAt / widthMs) * widthMs))];
  return starts
    .sort((a, b) => a - b)
    .map((bucket) => {
      const inside = chosen.filter(({ createdAt }) => Math.floor(createdAt / widthMs) * widthMs === bucket);
      const ids = [...new Set(inside.flatMap(({ report }) => report.members.map(({ id }) => id)))].sort();
      const confidences = inside.flatMap(({ confidence }) => (confidence === null ? [] : [confidence.value]));
      const latencies = inside.map(({ latencyMs }) => latencyMs);
      const firsts = inside.flatMap(({ firstTokenMs }) => (firstTokenMs === null ? [] : [firstTokenMs]));
      return {
        start: Math.max(bucket, range.from),
        answers: inside.length,
        degraded: inside.filter(isDegraded).length,
        promptTokens: inside.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
        completionTokens: inside.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
        latencyMs: { p50: rank(latencies, 0.5), p95: rank(latencies, 0.95) },
        firstTokenMs: firsts.length === 0 ? null : { p50: rank(firsts, 0.5) },
        jsDivergence: mean(inside.map(({ report }) => report.agreement.jsDivergence)),
        top1Agreement: mean(inside.map(({ report }) => report.agreement.top1Agreement)),
        stateDistance: mean(inside.map(({ report }) => report.agreement.stateDistance)),
        confidence:
          confidences.length === 0 ? null : { mean: mean(confidences) ?? 0, answers: confidences.length },
        members: ids.map((member) => {
          const parts = inside.flatMap(({ report }) => report.members.filter(({ id }) => id === member));
          return {
            member,
            answers: parts.length,
            weight: mean(parts.map(({ weight }) => weight)) ?? 0,
            abstentions: parts.filter(({ abstained }) => abstained !== undefined).length,
            losses: parts.filter(({ lost }) => lost !== undefined).length,
          };
        }),
      };
    });
}

function mean(values: readonly (number | null)[]): number | null {
  const there = values.filter((value) => value !== null);
  return there.length === 0 ? null : there.reduce((sum, value) => sum + value, 0) / there.length;
}

function rank(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))] ?? 0;
}

/** But for the quantiles, which are told to 2 %, and the last bits of sums in another order. */
function exactly(window: Window): unknown {
  const counts = { ...window, latencyMs: null, firstTokenMs: null };
  return JSON.parse(JSON.stringify(counts), (_, value: unknown) =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toFixed(9)) : value,
  );
}

function expectQuantiles(window: Window, wanted: Window | undefined): void {
  const told = [window.latencyMs?.p50, window.latencyMs?.p95, window.firstTokenMs?.p50];
  const real = [wanted?.latencyMs?.p50, wanted?.latencyMs?.p95, wanted?.firstTokenMs?.p50];
  told.forEach((value, i) => {
    const exact = real[i];
    if (value === undefined || exact === undefined) expect(value).toBe(exact);
    else expect(Math.abs(value - exact)).toBeLessThanOrEqual(0.0201 * exact);
  });
}

function said(answerId: string, metric: string, value: FeedbackValue, key = metric): Feedback {
  const target = { kind: "answer", answerId, requestId: answerId } as const;
  return {
    id: `${answerId} ${key}`,
    key: `${answerId} ${key}`,
    experiment: null,
    target,
    metric,
    value,
    tags: {},
    at: 1,
  };
}

function confident(requestId: string, value: number, createdAt: number): LogRecord {
  return createLogRecord({ requestId, createdAt, confidence: { value, kind: "choice" } });
}
