import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { keepAlive } from "../../sqlite/keep-alive.ts";

const ASK_EVERY_MS = 200;

/**
 * Waits until no other process or task holds the lock, and takes it. It is SQLite's lock on an empty database: the
 * operating system drops it when its holder dies, so it can never be stale. The file stays, because deleting it
 * would let two holders in: one on the old file, one on the new.
 * @param onWait called once when somebody else holds it
 * @returns what releases the lock
 * @throws the signal's reason when aborted
 */
export async function takePullLock(
  path: string,
  onWait: () => void,
  signal?: AbortSignal,
): Promise<() => void> {
  signal?.throwIfAborted();
  const database = keepAlive(new Database(path, { timeout: 0 }));
  try {
    for (let waited = false; !tryLock(database, path); waited = true) {
      if (!waited) onWait();
      await sleep(ASK_EVERY_MS, undefined, { signal });
    }
    return () => database.close();
  } catch (error) {
    database.close();
    throw error;
  }
}

function tryLock(database: Database.Database, path: string): boolean {
  try {
    // A journal on disk would be litter when the holder is killed.
    database.pragma("journal_mode = memory");
    database.exec("begin exclusive");
    return true;
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY")) return false;
    throw new Error(`${path} cannot be locked (${(error as Error).message})`, { cause: error });
  }
}
