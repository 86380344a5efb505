import type { SQL } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { BaseSQLiteDatabase } from "drizzle-orm/sqlite-core";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { AnswerTrace } from "../../src/ports/answer-trace.ts";

/** What drizzle's databases have in common: better-sqlite3 answers at once, D1 later, and `await` takes both. */
export type LogDatabase = BaseSQLiteDatabase<"sync" | "async", unknown>;

/** Inserts that belong together. */
export type Inserts = readonly [Insert, ...Insert[]];
export type Insert = BatchItem<"sqlite"> & { run(): unknown };

/** What a store needs of a SQLite connection, beside the queries that are the same everywhere. */
export interface StoreConnection {
  readonly db: LogDatabase;
  /** Runs all of them in one transaction, in order. */
  commit(inserts: Inserts): Promise<void>;
}

/** Writes answers. */
export interface LogWriter {
  /** Writes the rows of `record`, all or nothing. Resolves when they are committed; fails alone. */
  append(record: LogRecord, trace: AnswerTrace | null): Promise<void>;
  /** Writes what waits. */
  close(): Promise<void>;
}

/** What the log needs of one. */
export interface LogConnection extends LogWriter {
  readonly db: LogDatabase;
}

/** Rows as the statement names their columns. */
export async function select<Row>(db: LogDatabase, statement: SQL): Promise<Row[]> {
  return db.all<Row>(statement);
}
