import { sql } from "drizzle-orm";
import type { TraceToken } from "../../src/ports/answer-trace.ts";
import type {
  Alert,
  JudgedConfidence,
  LayerSimilarity,
  Observations,
  ObservationWriter,
  TimeRange,
} from "../../src/ports/observations.ts";
import { recordsOf } from "./agreement-log.ts";
import { rangeCondition } from "./answer-filter.ts";
import { pageOfAnswers } from "./answer-pages.ts";
import { select, type Inserts, type LogDatabase, type StoreConnection } from "./log-database.ts";
import { alerts, layerSimilarities } from "./schema.ts";
import { tracePositions } from "./trace-bytes.ts";
import { readWindows } from "./windows.ts";

export interface ObservationsOptions {
  /** Whether the database has rollups of all its answers. Without them long ranges are told from a sample. */
  readonly rollups: boolean;
  /** Of the whole database and free in it; null where it does not tell. */
  bytes(): { readonly bytes: number; readonly freeBytes: number } | null;
}

/** The longest window that a similarity may be measured over, milliseconds. */
export const LONGEST_SIMILARITY_WINDOW_MS = 86_400_000;

const mostSimilarities = 10_000;
const mostAlerts = 1000;
const mostJudgements = 20_000;

/** Observations over any SQLite that drizzle speaks to; the schema must be there. */
export function createObservations(db: LogDatabase, options: ObservationsOptions): Observations {
  const uncounted = async (): Promise<number> => {
    const rows = await select<{ name: string; value: number }>(db, sql`select name, value from log_progress`);
    const value = (name: string) => rows.find((row) => row.name === name)?.value ?? 0;
    return Math.max(0, value("fold_end") - value("fold_next") + 1);
  };

  return {
    async windows(range, widthMs, filter = {}) {
      checkRange(range);
      const counted = options.rollups && (await uncounted()) === 0;
      const { windows, share, rolledUp } = await readWindows(db, { range, widthMs, filter }, options.rollups);
      return { windows, share, complete: !rolledUp || counted };
    },

    async answers(query) {
      checkRange(query.range);
      const { ids, next } = await pageOfAnswers(db, query);
      return { answers: await recordsOf(db, ids), next };
    },

    async answer(requestId) {
      const [row] = await select<{ id: number }>(
        db,
        sql`select id from requests where request_id = ${requestId}`,
      );
      if (row === undefined) return null;
      const [[record], [trace]] = await Promise.all([
        recordsOf(db, [row.id]),
        select<{ numbers: Uint8Array | ArrayBuffer | number[]; tokens: string | null }>(
          db,
          sql`select numbers, tokens from request_traces where request = ${row.id}`,
        ),
      ]);
      // Deleted between the two reads.
      if (record === undefined) return null;
      if (trace === undefined) return { record, trace: null };
      const members = record.report.members.map(({ id }) => id);
      return {
        record,
        trace: {
          members,
          positions: tracePositions(new Uint8Array(trace.numbers), members.length),
          tokens: trace.tokens === null ? null : (JSON.parse(trace.tokens) as TraceToken[]),
        },
      };
    },

    async similarities(range) {
      checkRange(range);
      // One step down the key for each window, however many rows it has.
      const after = sql`start > ${range.from - LONGEST_SIMILARITY_WINDOW_MS}`;
      const measured = await select<{ start: number; end: number }>(
        db,
        sql`with recursive windows(start) as (
            select (select max(start) from layer_similarities where ${after} and start < ${range.to})
            union all select (select max(start) from layer_similarities where ${after} and start < windows.start)
            from windows where windows.start is not null)
          select start, (select "end" from layer_similarities where start = windows.start limit 1) as "end"
          from windows where start is not null`,
      );
      const windows = measured.filter(({ end }) => end > range.from);
      const [newest] = windows;
      if (newest === undefined) return [];
      const [counted] = await select<{ rows: number }>(
        db,
        sql`select count(*) as rows from layer_similarities where start = ${newest.start}`,
      );
      const room = Math.max(1, Math.floor(mostSimilarities / (counted?.rows ?? 1)));
      const step = Math.max(1, windows.length / room);
      const chosen = Array.from(
        { length: Math.min(room, windows.length) },
        (_, i) => windows[Math.floor(i * step)]?.start,
      );
      return select<LayerSimilarity>(
        db,
        sql`select start, "end", member_a as memberA, member_b as memberB, layer_a as layerA, layer_b as layerB, value, positions
          from layer_similarities where start in (select value from json_each(${JSON.stringify(chosen)})) and "end" > ${range.from}
          order by start, member_a, member_b, layer_a, layer_b`,
      );
    },

    async alerts(range) {
      checkRange(range);
      return select<Alert>(
        db,
        sql`select at, signal, member, direction, value, reference, false_alarm_rate as falseAlarmRate
          from alerts where at >= ${range.from} and at < ${range.to} order by at desc, id desc limit ${mostAlerts}`,
      );
    },

    async judged(range) {
      checkRange(range);
      const fitting = sql`r.confidence is not null and ${rangeCondition(range)}`;
      const rows = await select<{ answer: number; confidence: number; correct: number }>(
        db,
        // Cross joins keep their order: from what was said to its answers, and never through all answers of the range.
        sql`with said as materialized (select id, metric, answer_id, request_id, number from feedback
            where metric in ('correct', 'demonstration') and answer_id is not null and number is not null
            order by id desc limit ${mostJudgements})
          select r.id as answer, r.confidence, said.number = 1 as correct, said.id as at
          from said cross join requests r on r.request_id = said.answer_id
          where said.metric = 'correct' and ${fitting}
          union all select r.id, r.confidence, j.chosen = said.number, said.id
          from said cross join judgeable_answers j on j.request_id = said.request_id
            cross join requests r on r.request_id = j.answer_id
          where said.metric = 'demonstration' and j.chosen is not null and ${fitting}
          order by at`,
      );
      const judged = new Map<number, JudgedConfidence>();
      for (const { answer, confidence, correct } of rows) {
        judged.set(answer, { confidence, correct: correct === 1 });
      }
      return [...judged.values()];
    },

    async size() {
      // By ids, since counting ten million rows reads an index of 200 MB.
      const [row] = await select<{
        first: number | null;
        last: number | null;
        oldest: number | null;
        newest: number | null;
      }>(
        db,
        sql`select (select min(id) from requests) as first, (select max(id) from requests) as last,
          (select min(created_at) from requests) as oldest, (select max(created_at) from requests) as newest`,
      );
      const { first = null, last = null, oldest = null, newest = null } = row ?? {};
      const bytes = options.bytes();
      return {
        answers: first === null || last === null ? 0 : last - first + 1,
        oldest,
        newest,
        bytes: bytes?.bytes ?? null,
        freeBytes: bytes?.freeBytes ?? null,
        uncounted: await uncounted(),
      };
    },
  };
}

/** Writes what is measured of the traffic. */
export function createObservationWriter({ db, commit }: StoreConnection): ObservationWriter {
  return {
    async appendSimilarities(similarities) {
      const wrong = similarities.find(
        ({ start, end }) => !(start < end && end - start <= LONGEST_SIMILARITY_WINDOW_MS),
      );
      if (wrong !== undefined) {
        throw new RangeError(
          `similarities: expected windows of at most a day, got ${wrong.start} to ${wrong.end} (milliseconds)`,
        );
      }
      const rows = similarities.map((row) =>
        db
          .insert(layerSimilarities)
          .values(row)
          .onConflictDoUpdate({
            target: [
              layerSimilarities.start,
              layerSimilarities.memberA,
              layerSimilarities.memberB,
              layerSimilarities.layerA,
              layerSimilarities.layerB,
            ],
            set: { end: row.end, value: row.value, positions: row.positions },
          }),
      );
      const [first, ...others] = rows;
      if (first !== undefined) await commit([first, ...others] satisfies Inserts);
    },
    async appendAlert(alert) {
      await commit([db.insert(alerts).values(alert)]);
    },
  };
}

function checkRange({ from, to }: TimeRange): void {
  if (Number.isFinite(from) && Number.isFinite(to) && from < to) return;
  throw new RangeError(`observations: expected a range that begins before it ends, got ${from} to ${to}`);
}
