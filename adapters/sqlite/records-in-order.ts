import type { Database } from "better-sqlite3";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/better-sqlite3";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { AnswerFilter, TimeRange } from "../../src/ports/observations.ts";
import { recordsOf } from "./agreement-log.ts";
import { filterCondition, rangeCondition } from "./answer-filter.ts";
import { select } from "./log-database.ts";

/** Where a walk through the log is. */
export interface WalkPlace {
  readonly at: number;
  readonly id: number;
}

export interface WalkedPage {
  readonly records: readonly LogRecord[];
  /** Of the last of them. */
  readonly place: WalkPlace;
}

const pageSize = 500;

/**
 * All answers of the range that fit, the oldest first, page after page. Each page is read in a transaction of its own, so
 * that a long walk keeps no gateway's write-ahead log from being written back.
 * @param after where an earlier walk ended; null: from the beginning
 */
export async function* recordsInOrder(
  database: Database,
  range: TimeRange,
  filter: AnswerFilter,
  after: WalkPlace | null = null,
): AsyncGenerator<WalkedPage> {
  const db = drizzle(database);
  const fitting = sql`${rangeCondition(range)} and ${filterCondition(filter)}`;
  for (let place = after ?? { at: Number.MIN_SAFE_INTEGER, id: 0 }; ;) {
    database.exec("begin");
    let page: WalkedPage | null = null;
    try {
      const rows = await select<WalkPlace>(
        db,
        sql`select r.id, r.created_at as at from requests r
          where ${fitting} and (r.created_at, r.id) > (${place.at}, ${place.id})
          order by r.created_at, r.id limit ${pageSize}`,
      );
      const last = rows.at(-1);
      if (last !== undefined)
        page = {
          records: await recordsOf(
            db,
            rows.map(({ id }) => id),
          ),
          place: last,
        };
    } finally {
      database.exec("commit");
    }
    if (page === null) return;
    yield page;
    place = page.place;
  }
}

/** How many answers there are, or of a range and of a model: read from an index, a second for ten million. */
export function countAnswers(
  database: Database,
  range: TimeRange = { from: Number.MIN_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER },
  filter: Pick<AnswerFilter, "model"> = {},
): number {
  const counted = sql`select count(*) as count from requests r where ${rangeCondition(range)} and ${filterCondition(filter)}`;
  return drizzle(database).get<{ count: number }>(counted).count;
}
