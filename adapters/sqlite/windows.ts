import { sql, type SQL } from "drizzle-orm";
import type { AnswerFilter, TimeRange, Window } from "../../src/ports/observations.ts";
import {
  answeredByOf,
  countInRange,
  degradedOf,
  filterCondition,
  isRolledUp,
  rangeCondition,
  rollupCondition,
} from "./answer-filter.ts";
import { addAnswer, addSums, noAnswers, windowOf, type Counted, type Sums } from "./counted.ts";
import { select, type LogDatabase } from "./log-database.ts";
import { ROLLUP_COLUMNS, ROLLUP_WIDTHS_MS, sumsOf, type RollupRow } from "./rollups.ts";

export interface WindowsQuery {
  readonly range: TimeRange;
  readonly widthMs: number;
  readonly filter: AnswerFilter;
}

export interface ReadWindows {
  readonly windows: readonly Window[];
  readonly share: number;
  /** Whether rollups had a part in it. */
  readonly rolledUp: boolean;
}

const mostBuckets = 1000;
/** So many answers are read one by one; of more, a sample. */
const mostRead = 20_000;
const sampleSize = 10_000;

/**
 * The whole minutes, hours and days of the range from the rollups, its ends from the answers; where the rollups do not
 * tell apart what the filter asks for, all of it from the answers, or of too many from a sample of evenly spaced ids.
 */
export async function readWindows(
  db: LogDatabase,
  { range, widthMs, filter }: WindowsQuery,
  hasRollups: boolean,
): Promise<ReadWindows> {
  checkBuckets(range, widthMs);
  const buckets = new Map<number, Sums>();
  const bucketOf = (time: number): Sums => {
    const start = Math.floor(time / widthMs) * widthMs;
    const sums = buckets.get(start) ?? noAnswers();
    buckets.set(start, sums);
    return sums;
  };
  const readRows = async (part: TimeRange): Promise<void> => {
    const fitting = sql`${rangeCondition(part)} and ${filterCondition(filter)}`;
    const rows = await select<CountedRow>(db, countedStatement(fitting));
    for (const row of rows) addAnswer(bucketOf(row.createdAt), answerOf(row));
  };

  const rolledUp = hasRollups && isRolledUp(filter);
  let share = 1;
  if (rolledUp) {
    const widths = ROLLUP_WIDTHS_MS.filter((width) => widthMs % width === 0).toReversed();
    for (const { width, ...part } of segments(range, widths)) {
      if (width === null) {
        await readRows(part);
        continue;
      }
      const rows = await select<RollupRow>(
        db,
        sql`select ${sql.raw(ROLLUP_COLUMNS)} from rollups
          where width_ms = ${width} and start >= ${part.from} and start < ${part.to} and ${rollupCondition(filter)}`,
      );
      for (const row of rows) addSums(bucketOf(row.start), sumsOf(row));
    }
  } else if ((await countInRange(db, range, mostRead + 1)) <= mostRead) {
    await readRows(range);
  } else {
    share = await sample(db, { range, filter, bucketOf });
  }
  const windows = [...buckets]
    .filter(([, sums]) => sums.answers > 0)
    .sort(([a], [b]) => a - b)
    .map(([start, sums]) => windowOf(Math.max(start, range.from), sums, share));
  return { windows, share, rolledUp };
}

/** Counts answers of evenly spaced ids. Returns the share of the range's answers that these are. */
async function sample(
  db: LogDatabase,
  { range, filter, bucketOf }: { range: TimeRange; filter: AnswerFilter; bucketOf: (time: number) => Sums },
): Promise<number> {
  const edge = (direction: "asc" | "desc") =>
    select<{ id: number }>(
      db,
      sql`select r.id from requests r where ${rangeCondition(range)} order by r.created_at ${sql.raw(direction)} limit 1`,
    );
  const [[oldest], [newest]] = await Promise.all([edge("asc"), edge("desc")]);
  const first = oldest?.id ?? 0;
  const step = Math.max(1, ((newest?.id ?? 0) - first + 1) / sampleSize);
  const ids = Array.from({ length: sampleSize }, (_, i) => first + Math.floor(i * step));
  const among = sql`r.id in (select value from json_each(${JSON.stringify(ids)}))`;
  const fitting = sql`${among} and ${rangeCondition(range)} and ${filterCondition(filter)}`;
  const rows = await select<CountedRow>(db, countedStatement(fitting));
  for (const row of rows) addAnswer(bucketOf(row.createdAt), answerOf(row));
  return 1 / step;
}

/** What `countedStatement` reads. */
export interface CountedRow extends Omit<Counted, "degraded" | "members"> {
  readonly createdAt: number;
  readonly model: string;
  readonly answeredBy: string;
  readonly experiment: string | null;
  readonly arm: string | null;
  readonly degraded: number;
  readonly members: string;
}

/** @param condition of rows of `requests r` */
export function countedStatement(condition: SQL): SQL {
  return sql`select r.created_at as createdAt, r.model, ${answeredByOf} as answeredBy, r.experiment, r.arm,
      r.prompt_tokens as promptTokens, r.completion_tokens as completionTokens,
      r.latency_ms as latencyMs, r.first_token_ms as firstTokenMs, r.js_divergence as jsDivergence,
      ${metric("top1_agreement")} as top1Agreement, ${metric("state_distance")} as stateDistance, r.confidence,
      ${degradedOf} as degraded, (
        select json_group_array(json_array(member,
          json_array(1, weight, abstained_positions is not null, lost_position is not null)))
        from request_members where request = r.id
      ) as members
      from requests r where ${condition}`;
}

export function answerOf(row: CountedRow): Counted {
  return {
    ...row,
    degraded: row.degraded === 1,
    members: JSON.parse(row.members) as Counted["members"],
  };
}

/** A metric of `requests r`, of rows that are not folded yet from where it was. */
function metric(name: "top1_agreement" | "state_distance"): SQL {
  return sql`case when r.positions is null then (select value from agreement_metrics where request = r.id and metric = ${name}) else ${sql.raw(`r.${name}`)} end`;
}

interface Segment extends TimeRange {
  /** Null: no rollup is as narrow as this. */
  readonly width: number | null;
}

/** The range in parts of whole rollups, as wide ones as fit. @param widths widest first */
export function segments({ from, to }: TimeRange, [width, ...narrower]: readonly number[]): Segment[] {
  if (from >= to) return [];
  if (width === undefined) return [{ width: null, from, to }];
  const first = Math.ceil(from / width) * width;
  const last = Math.floor(to / width) * width;
  if (first >= last) return segments({ from, to }, narrower);
  return [
    ...segments({ from, to: first }, narrower),
    { width, from: first, to: last },
    ...segments({ from: last, to }, narrower),
  ];
}

function checkBuckets({ from, to }: TimeRange, widthMs: number): void {
  const [minute] = ROLLUP_WIDTHS_MS;
  if (!Number.isInteger(widthMs) || widthMs < minute || widthMs % minute !== 0) {
    throw new RangeError(`windows: expected a width of whole minutes in milliseconds, got ${widthMs}`);
  }
  const buckets = Math.ceil(to / widthMs) - Math.floor(from / widthMs);
  if (buckets > mostBuckets) {
    throw new RangeError(
      `windows: expected at most ${mostBuckets} windows in a range, got ${buckets}; widen them`,
    );
  }
}
