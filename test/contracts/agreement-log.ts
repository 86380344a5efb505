import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgreementLog, LogQuery, LogRecord } from "../../src/ports/agreement-log.ts";
import { createLogRecord } from "./log-record.ts";

/** What every agreement log does. `open` gives an empty one each time. */
export function describeAgreementLog(name: string, open: () => Promise<AgreementLog>): void {
  describe(`agreement log over ${name}`, () => {
    let log: AgreementLog;
    beforeEach(async () => {
      log = await open();
    });
    afterEach(() => log.close());

    const append = async (...records: LogRecord[]) => {
      for (const record of records) await log.append(record);
    };
    const listed = async (query: LogQuery) => (await log.list(query)).map(({ requestId }) => requestId);

    test("a record is found as it was written, to the last bit", async () => {
      const record = createLogRecord({ text: { prompt: "Grüße, 'x'; --\u0001", answer: "" } });
      await append(record);
      expect(await log.find(record.requestId)).toStrictEqual(record);
    });

    test("nulls and an abstained member are found as they were written", async () => {
      const whole = createLogRecord({
        endpoint: "ask",
        finishReason: "length",
        firstTokenMs: null,
        agreement: { positions: 0, jsDivergence: null, top1Agreement: null, stateDistance: null },
      });
      const absent = { bitsPerByte: null, top1Agreement: null, entropy: null };
      const members = whole.report.members.map((member, index) =>
        index === 0
          ? member
          : Object.assign({}, member, absent, { abstained: { positions: 3, reason: "timed out" } }),
      );
      const record = { ...whole, report: { ...whole.report, members, bitsPerByte: null, entropy: null } };
      await append(record);
      expect(await log.find(record.requestId)).toStrictEqual(record);
    });

    test("lost members are found as they were written", async () => {
      const whole = createLogRecord({ members: 3 });
      const members = whole.report.members.map((member, index) =>
        index === 0
          ? member
          : Object.assign({}, member, { lost: { position: index - 1, reason: `it ended, ${index}` } }),
      );
      const record = { ...whole, report: { ...whole.report, members } };
      await append(record);
      expect(await log.find(record.requestId)).toStrictEqual(record);
    });

    test("who answered in the ensemble's place, and why, is found as it was written", async () => {
      const record = createLogRecord({ members: 2, notFused: "the anchor needs 2.00 times the tokens" });
      expect(record).toMatchObject({ model: "concord", report: { answeredBy: "member-1" } });
      await append(record);
      expect(await log.find(record.requestId)).toStrictEqual(record);
    });

    test("a confidence, the experiment and its arm are found as they were written", async () => {
      const record = createLogRecord({
        confidence: { value: 2 / 3, kind: "short_answer" },
        experiment: { name: "fit", arm: "new" },
      });
      await append(record);
      expect(await log.find(record.requestId)).toStrictEqual(record);
    });

    test("forty members keep their order", async () => {
      const record = createLogRecord({ members: 40 });
      await append(record);
      expect(await log.find(record.requestId)).toStrictEqual(record);
    });

    test("an answer of no members is found as it was written", async () => {
      const record = createLogRecord({ members: 0 });
      await append(record);
      expect(await log.find(record.requestId)).toStrictEqual(record);
    });

    test("an unknown id is found as null", async () => {
      await append(createLogRecord());
      expect(await log.find("chatcmpl-2")).toBeNull();
    });

    test("a taken id is refused and the first record stays whole", async () => {
      const first = createLogRecord({ model: "concord" });
      await append(first);
      const second = createLogRecord({ model: "other", members: 5, text: { prompt: "p", answer: "a" } });
      await expect(log.append(second)).rejects.toThrow(
        "agreement log: request chatcmpl-1 is already written; give each request its own id",
      );
      expect(await log.list({ order: "time", limit: 10 })).toStrictEqual([first]);
    });

    test("of records that are written at once, one whose id is taken is refused alone", async () => {
      const records = ["a", "b", "a", "c"].map((requestId, index) =>
        createLogRecord({ requestId, createdAt: index }),
      );
      const outcomes = await Promise.allSettled(records.map((record) => log.append(record)));
      expect(outcomes.map(({ status }) => status)).toEqual([
        "fulfilled",
        "fulfilled",
        "rejected",
        "fulfilled",
      ]);
      expect(outcomes[2]).toMatchObject({
        reason: { message: expect.stringContaining("request a is already") },
      });
      expect(await log.list({ order: "time", limit: 10 })).toStrictEqual([
        records[3],
        records[1],
        records[0],
      ]);
    });

    test("the most disagreed come first, the newest of equals before, those without a divergence last", async () => {
      await append(
        recordAt("none", 9, null),
        recordAt("little", 1, 0.1),
        recordAt("old", 2, 0.5),
        recordAt("zero", 5, 0),
        recordAt("new", 3, 0.5),
      );
      expect(await listed({ order: "disagreement", limit: 10 })).toEqual([
        "new",
        "old",
        "little",
        "zero",
        "none",
      ]);
      expect(await listed({ order: "disagreement", limit: 2 })).toEqual(["new", "old"]);
    });

    test("by time the newest come first, the later written of one moment before", async () => {
      await append(recordAt("b", 2), recordAt("d", 4), recordAt("a", 1), recordAt("c", 4));
      expect(await listed({ order: "time", limit: 10 })).toEqual(["c", "d", "b", "a"]);
    });

    test("more records than a statement may bind values are listed whole", async () => {
      const records = Array.from({ length: 130 }, (_, index) =>
        createLogRecord({
          requestId: `r${index}`,
          createdAt: index,
          text: { prompt: `p${index}`, answer: "a" },
        }),
      );
      await append(...records);
      expect(await log.list({ order: "time", limit: 1000 })).toStrictEqual(records.toReversed());
    });

    test("every listing equals sorting and filtering the records in memory", async () => {
      const records = scatteredRecords();
      await append(...records);
      await fc.assert(
        fc.asyncProperty(queries, async (query) => {
          expect(await log.list(query)).toStrictEqual(listedInMemory(records, query));
        }),
        { numRuns: 40, seed: 7 },
      );
    });

    test.each([0, 1001, 1.5, Number.NaN])("a limit of %d is refused", async (limit) => {
      await expect(log.list({ order: "time", limit })).rejects.toThrow(
        new RangeError(`agreement log: limit must be a whole number from 1 to 1000, got ${limit}`),
      );
    });
  });
}

const models = ["concord", "member-0", "member-1"];

function recordAt(requestId: string, createdAt: number, jsDivergence: number | null = 0): LogRecord {
  return createLogRecord({ requestId, createdAt, agreement: { jsDivergence } });
}

/** Few distinct divergences, so that equals meet; each moment once. */
function scatteredRecords(): LogRecord[] {
  return Array.from({ length: 36 }, (_, index) =>
    createLogRecord({
      requestId: `r${index}`,
      createdAt: 1000 + ((index * 17) % 36),
      model: models[index % 5] ?? "concord",
      agreement: { jsDivergence: index % 7 === 0 ? null : (index % 4) / 8 },
    }),
  );
}

const queries: fc.Arbitrary<LogQuery> = fc.record({
  order: fc.constantFrom("disagreement", "time"),
  limit: fc.integer({ min: 1, max: 40 }),
  model: fc.constantFrom(undefined, ...models, "unknown"),
  since: fc.option(fc.integer({ min: 995, max: 1040 }), { nil: undefined }),
});

const divergence = ({ report }: LogRecord) => report.agreement.jsDivergence ?? -1;

function listedInMemory(records: readonly LogRecord[], query: LogQuery): LogRecord[] {
  return records
    .filter(({ model }) => query.model === undefined || model === query.model)
    .filter(({ createdAt }) => query.since === undefined || createdAt >= query.since)
    .toSorted((a, b) => {
      const disagreement = query.order === "time" ? 0 : divergence(b) - divergence(a);
      return disagreement || b.createdAt - a.createdAt;
    })
    .slice(0, query.limit);
}
