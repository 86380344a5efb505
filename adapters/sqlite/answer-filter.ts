import { sql, type SQL } from "drizzle-orm";
import type { AnswerFilter, TimeRange } from "../../src/ports/observations.ts";
import { select, type LogDatabase } from "./log-database.ts";

/** Whether a member was lost on the way, of a row of `requests r`: rows that are not folded yet do not say it themselves. */
export const degradedOf = sql`coalesce(r.degraded, exists (select 1 from request_members where request = r.id and lost_position is not null))`;

/** Who answered, of a row of `requests r`. */
export const answeredByOf = sql`coalesce(r.answered_by, r.model)`;

/** What a row of `requests r` must fulfil; 1 where nothing is asked. */
export function filterCondition(filter: AnswerFilter): SQL {
  const { model, answeredBy, member, minDivergence, degraded, experiment, arm } = filter;
  const { minConfidence, maxConfidence } = filter;
  const parts = [
    model === undefined ? null : sql`r.model = ${model}`,
    answeredBy === undefined ? null : sql`${answeredByOf} = ${answeredBy}`,
    member === undefined
      ? null
      : sql`exists (select 1 from request_members where request = r.id and member = ${member})`,
    minDivergence === undefined ? null : sql`r.js_divergence >= ${minDivergence}`,
    degraded === undefined ? null : sql`${degradedOf} = ${Number(degraded)}`,
    experiment === undefined ? null : sql`r.experiment = ${experiment}`,
    arm === undefined ? null : sql`r.arm = ${arm}`,
    minConfidence === undefined ? null : sql`r.confidence >= ${minConfidence}`,
    maxConfidence === undefined ? null : sql`r.confidence <= ${maxConfidence}`,
  ];
  return all(parts);
}

/** What a row of `rollups` must fulfil. Only for a filter that `isRolledUp`. */
export function rollupCondition({ model, answeredBy, degraded, experiment, arm }: AnswerFilter): SQL {
  return all([
    model === undefined ? null : sql`model = ${model}`,
    answeredBy === undefined ? null : sql`answered_by = ${answeredBy}`,
    degraded === undefined ? null : sql`degraded = ${Number(degraded)}`,
    experiment === undefined ? null : sql`experiment = ${experiment}`,
    arm === undefined ? null : sql`arm = ${arm}`,
  ]);
}

/** Whether rollups tell apart what the filter asks for. */
export function isRolledUp({ member, minDivergence, minConfidence, maxConfidence }: AnswerFilter): boolean {
  return [member, minDivergence, minConfidence, maxConfidence].every((asked) => asked === undefined);
}

/** Of a row of `requests r`. */
export function rangeCondition({ from, to }: TimeRange): SQL {
  return sql`r.created_at >= ${from} and r.created_at < ${to}`;
}

/** How many answers lie in the range, counted up to `most`. */
export async function countInRange(db: LogDatabase, range: TimeRange, most: number): Promise<number> {
  const [row] = await select<{ count: number }>(
    db,
    sql`select count(*) as count from (select 1 from requests r where ${rangeCondition(range)} limit ${most})`,
  );
  return row?.count ?? 0;
}

function all(parts: readonly (SQL | null)[]): SQL {
  const asked = parts.filter((part) => part !== null);
  return asked.length === 0 ? sql`1` : sql.join(asked, sql` and `);
}
