import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";

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
  for (let waited = false; ; waited = true) {
    signal?.throwIfAborted();
    const database = new Database(path, { timeout: 0 });
    try {
      // A journal on disk would be litter when the holder is killed.
      database.pragma("journal_mode = MEMORY");
      database.exec("BEGIN EXCLUSIVE");
      return () => database.close();
    } catch (error) {
      database.close();
      const held = error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY");
      if (!held) throw new Error(`${path} cannot be locked (${(error as Error).message})`, { cause: error });
    }
    if (!waited) onWait();
    await sleep(ASK_EVERY_MS, undefined, { signal });
  }
}
