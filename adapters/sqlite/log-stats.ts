import type { Database } from "better-sqlite3";
import { createSqliteObservations } from "./better-sqlite3.ts";
import { countAnswers } from "./records-in-order.ts";
import { ROLLUP_WIDTHS_MS } from "./rollups.ts";
import { usedBytes } from "./upkeep.ts";

/** How large a log is. Counted, so that it takes a second or two for ten million answers. */
export interface LogStats {
  readonly path: string;
  readonly answers: number;
  /** Answers whose prompt and text are kept. */
  readonly texts: number;
  /** Milliseconds since the Unix epoch; null for an empty log. */
  readonly oldest: number | null;
  readonly newest: number | null;
  /** Of the file, with what is free in it. */
  readonly bytes: number;
  readonly freeBytes: number;
  /** What is not free, shared out; null for an empty log. */
  readonly bytesPerAnswer: number | null;
  readonly rollups: { readonly minutes: number; readonly hours: number; readonly days: number };
  readonly feedback: number;
  readonly alerts: number;
  /** Answers from before an update of Concord that are not counted in the rollups yet. */
  readonly uncounted: number;
}

export async function readLogStats(database: Database): Promise<LogStats> {
  database.exec("begin");
  try {
    const { oldest, newest, bytes, freeBytes, uncounted } = await createSqliteObservations(database).size();
    const answers = countAnswers(database);
    const [minute, hour, day] = ROLLUP_WIDTHS_MS;
    const rollups = database.prepare<[number], { n: number }>(
      "select count(*) as n from rollups where width_ms = ?",
    );
    const ofWidth = (width: number): number => rollups.get(width)?.n ?? 0;
    return {
      path: database.name,
      answers,
      texts: rowsOf(database, "request_texts"),
      oldest,
      newest,
      bytes: bytes ?? 0,
      freeBytes: freeBytes ?? 0,
      bytesPerAnswer: answers === 0 ? null : usedBytes(database) / answers,
      rollups: { minutes: ofWidth(minute), hours: ofWidth(hour), days: ofWidth(day) },
      feedback: rowsOf(database, "feedback"),
      alerts: rowsOf(database, "alerts"),
      uncounted,
    };
  } finally {
    database.exec("commit");
  }
}

function rowsOf(database: Database, table: "request_texts" | "feedback" | "alerts"): number {
  return database.prepare<[], { n: number }>(`select count(*) as n from ${table}`).get()?.n ?? 0;
}
