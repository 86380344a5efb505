import { statSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import SqliteDatabase from "better-sqlite3";
import type { Observations } from "../../src/ports/observations.ts";
import { createSqliteObservations } from "./better-sqlite3.ts";
import { keepAlive } from "./keep-alive.ts";

/** One call of `Observations`, or the end. */
export type ToObservationWorker =
  | {
      readonly kind: "read";
      readonly id: number;
      readonly method: keyof Observations;
      readonly args: readonly unknown[];
      /** Nobody waits for it after this, milliseconds since the Unix epoch. */
      readonly deadline: number;
    }
  | { readonly kind: "close" };

export type FromObservationWorker =
  | { readonly kind: "result"; readonly id: number; readonly result: unknown }
  /** @param range whether the question was wrong */
  | { readonly kind: "failure"; readonly id: number; readonly message: string; readonly range: boolean };

/*
 * Reads the log on a thread of its own, so that a page never holds up an answer; and writes what the write-ahead log has
 * gathered to the database, which would otherwise hold up every hundredth answer or so.
 */

const port = parentPort;
if (port === null) throw new Error("observation-worker: expected to run as a worker thread");
const path = workerData as string;

const CHECKPOINT_EVERY_MS = 500;
const CHECKPOINT_FROM_BYTES = 4 * 1024 * 1024;

const reading = keepAlive(new SqliteDatabase(path, { readonly: true, fileMustExist: true, timeout: 5000 }));
reading.pragma("cache_size = -65536");
const observations = createSqliteObservations(reading);
const checkpointing = keepAlive(new SqliteDatabase(path, { fileMustExist: true, timeout: 0 }));

const checkpoints = setInterval(() => {
  try {
    if (statSync(`${path}-wal`).size >= CHECKPOINT_FROM_BYTES)
      checkpointing.pragma("wal_checkpoint(passive)");
  } catch {
    // No such file, or a disk that cannot be written: the next answer that is added finds out and says so.
  }
}, CHECKPOINT_EVERY_MS);

/** In one transaction, so that several statements see one state of the log. */
async function read(method: keyof Observations, args: readonly unknown[]): Promise<unknown> {
  reading.exec("begin");
  try {
    const call = observations[method] as (...given: readonly unknown[]) => Promise<unknown>;
    return await call(...args);
  } finally {
    reading.exec("commit");
  }
}

const tell = (message: FromObservationWorker): void => port.postMessage(message, []);

async function handle(message: ToObservationWorker): Promise<void> {
  if (message.kind === "close") {
    clearInterval(checkpoints);
    reading.close();
    checkpointing.close();
    port?.close();
    return;
  }
  const { id, method, args, deadline } = message;
  if (Date.now() > deadline) return;
  try {
    tell({ kind: "result", id, result: await read(method, args) });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    tell({ kind: "failure", id, message: text, range: error instanceof RangeError });
  }
}

let last = Promise.resolve();
port.on("message", (message: ToObservationWorker) => {
  last = last.then(() => handle(message));
});
