import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { keepAlive } from "./keep-alive.ts";

const migrationsFolder = fileURLToPath(new URL("../../migrations", import.meta.url));
const busyTimeoutMs = 5000;
/** Of the write-ahead log: 32 MB. */
const latestCheckpointPages = 8192;

/**
 * Opens the SQLite file at `path` (`:memory:` for none), creating it and its folders, and brings its schema up to
 * date. `PRAGMA user_version` counts the migrations a file has.
 * @throws Error when the file is no SQLite database, belongs to another program, or is newer than this code
 */
export function openDatabase(path: string): Database {
  try {
    if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true });
    const database = keepAlive(new SqliteDatabase(path, { timeout: busyTimeoutMs }));
    try {
      prepare(database);
    } catch (error) {
      database.close();
      throw error;
    }
    return database;
  } catch (error) {
    throw new Error(`agreement log: cannot open ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

function prepare(database: Database): void {
  // A file that is still empty can be made one that gives free space back a little at a time; another is left as it is.
  if (database.pragma("page_count", { simple: true }) === 0) database.pragma("auto_vacuum = incremental");
  // A migration that rebuilds a table must not cascade into the rows that refer to it.
  database.pragma("foreign_keys = off");
  migrate(database);
  database.pragma("foreign_keys = on");
  // After migrating, since it changes the file, and a file that is refused stays as it is.
  useWriteAheadLog(database);
  // In WAL a crash of the process loses nothing; a power cut may lose the last answers, never the file's integrity.
  database.pragma("synchronous = normal");
  // By far later than the thread that reads the log does it: an answer must not wait for the disk.
  database.pragma(`wal_autocheckpoint = ${latestCheckpointPages}`);
}

/** SQLite does not wait for other processes at this one switch, so processes that open a new file together try again. */
function useWriteAheadLog(database: Database): void {
  const attempts = 50;
  for (let attempt = 1; ; attempt++) {
    try {
      database.pragma("journal_mode = wal");
      return;
    } catch (error) {
      if (!hasCode(error, "SQLITE_BUSY") || attempt === attempts) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyTimeoutMs / attempts);
    }
  }
}

/**
 * Applies what the file lacks in one transaction, so that two processes that start together do it once. Migrations make
 * tables and add columns, which takes no longer for a large log than for an empty one: rows are changed by the upkeep,
 * a few at a time. A file that lacks nothing is not locked.
 */
function migrate(database: Database): void {
  const migrations = readMigrationFiles({ migrationsFolder });
  if (database.pragma("user_version", { simple: true }) === migrations.length) return;
  database
    .transaction(() => {
      const applied = Number(database.pragma("user_version", { simple: true }));
      if (applied > migrations.length) {
        throw new Error(
          `it has ${applied} migrations and this version of Concord knows ${migrations.length}; ` +
            "use the newer version that wrote it, or another file",
        );
      }
      if (applied === 0 && database.prepare("select 1 from sqlite_schema").get() !== undefined) {
        throw new Error("it holds the tables of another program; use another file");
      }
      for (const migration of migrations.slice(applied)) {
        for (const statement of migration.sql) database.exec(statement);
      }
      database.pragma(`user_version = ${migrations.length}`);
    })
    .immediate();
}

function reasonOf(error: unknown): string {
  if (hasCode(error, "SQLITE_NOTADB")) {
    return "it is not a SQLite database; move it away or use another file";
  }
  return error instanceof Error ? error.message : String(error);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof SqliteDatabase.SqliteError && error.code === code;
}
