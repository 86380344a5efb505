import { existsSync } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { keepAlive } from "./keep-alive.ts";
import { countAnswers } from "./records-in-order.ts";

export interface BackUpOptions {
  readonly signal: AbortSignal;
  /** Told how many pages of how many are copied. */
  readonly onProgress: (pages: number, of: number) => void;
}

export interface BackUp {
  /** That the copy has. */
  readonly answers: number;
  readonly bytes: number;
}

const pagesAStep = 2048;

/**
 * Copies the log as it is now to `path`, while others go on writing it. The copy has the name only once it is whole and
 * SQLite has found no fault in it; it is one file, and a log that a gateway can open.
 * @throws Error when there is something of that name, or the copy is not what was copied
 */
export async function backUp(
  database: Database,
  path: string,
  { signal, onProgress }: BackUpOptions,
): Promise<BackUp> {
  if (existsSync(path)) throw new Error(`${path} is there already: remove it, or choose another name`);
  const aside = `${path}.${process.pid}.part`;
  try {
    // One state for the whole copy: without it SQLite begins anew whenever another process has written.
    database.exec("begin");
    let answers: number;
    try {
      answers = countAnswers(database);
      await database.backup(aside, {
        progress({ totalPages, remainingPages }) {
          signal.throwIfAborted();
          onProgress(totalPages - remainingPages, totalPages);
          return pagesAStep;
        },
      });
    } finally {
      database.exec("commit");
    }
    checkCopy(aside, answers);
    await sync(aside);
    signal.throwIfAborted();
    await rename(aside, path);
    return { answers, bytes: (await stat(path)).size };
  } catch (error) {
    for (const suffix of ["", "-journal", "-wal", "-shm"]) await rm(`${aside}${suffix}`, { force: true });
    throw error;
  }
}

/** @throws Error naming what is wrong with the copy */
function checkCopy(path: string, answers: number): void {
  const copy = keepAlive(new SqliteDatabase(path, { fileMustExist: true }));
  try {
    // A copy of a database with a write-ahead log would have files beside it.
    copy.pragma("journal_mode = delete");
    const fault: unknown = copy.pragma("quick_check(1)", { simple: true });
    if (fault !== "ok") throw new Error(`backup: the copy is damaged: ${String(fault)}; is the disk sound?`);
    const copied = countAnswers(copy);
    if (copied !== answers) {
      throw new Error(`backup: expected ${answers} answers in the copy, got ${copied}; try again`);
    }
  } finally {
    copy.close();
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
