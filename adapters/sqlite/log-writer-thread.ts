import { parentPort, workerData } from "node:worker_threads";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { AnswerTrace } from "../../src/ports/answer-trace.ts";
import { systemTimers } from "../node/supervision.ts";
import { createGroupCommit } from "./group-commit.ts";
import { openDatabase } from "./open-database.ts";
import { startUpkeep, type Retention } from "./upkeep.ts";

export interface LogWriterSetup {
  readonly path: string;
  readonly retention: Retention;
}

/** Answers to write, all of one turn together, or the end. */
export type ToLogWriter = readonly LogEntry[] | "close";

export interface LogEntry {
  readonly id: number;
  readonly record: LogRecord;
  readonly trace: AnswerTrace | null;
}

export type FromLogWriter =
  /** @param failed the others' ids with why */
  | { readonly written: readonly number[]; readonly failed: readonly (readonly [number, string])[] }
  /** The upkeep failed and is tried again. */
  | { readonly upkeep: string };

/*
 * Writes the log, and does its upkeep, on a thread of its own: SQLite computes and waits for the disk on the thread that
 * asks. What came while one transaction was written is the next one.
 */

const port = parentPort;
if (port === null) throw new Error("log-writer-thread: expected to run as a worker thread");
const tell = (message: FromLogWriter): void => port.postMessage(message, []);
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const { path, retention } = workerData as LogWriterSetup;
const database = openDatabase(path);
const commits = createGroupCommit(database);
const endUpkeep = startUpkeep(database, {
  retention,
  timers: systemTimers,
  onError: (error) => tell({ upkeep: messageOf(error) }),
});

async function write(entries: readonly LogEntry[]): Promise<void> {
  const outcomes = await Promise.allSettled(
    entries.map(({ record, trace }) => commits.append(record, trace)),
  );
  const written: number[] = [];
  const failed: (readonly [number, string])[] = [];
  for (const [i, { id }] of entries.entries()) {
    const outcome = outcomes[i];
    if (outcome?.status === "rejected") failed.push([id, messageOf(outcome.reason)]);
    else written.push(id);
  }
  tell({ written, failed });
}

let written = Promise.resolve();

async function close(): Promise<void> {
  endUpkeep();
  await commits.close();
  await written;
  database.close();
  port?.close();
}

port.on("message", (message: ToLogWriter) => {
  if (message === "close") return void close();
  const outcome = write(message);
  written = written.then(() => outcome);
});
