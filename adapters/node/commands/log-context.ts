import { existsSync } from "node:fs";
import type { Database } from "better-sqlite3";
import type { Clock } from "../../../src/ports/clock.ts";
import { silentProgress, type Progress } from "../../../src/ports/progress.ts";
import { openDatabase } from "../../sqlite/open-database.ts";
import { concordPaths } from "../paths.ts";
import { createProgressBar } from "../progress-bar.ts";

/** What the log's commands take from the process; a test brings its own. */
export interface LogContext {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly stdout: LogOutput;
  /** Where progress is drawn. Default: nowhere. */
  readonly stderr?: NodeJS.WritableStream | undefined;
  /** Aborted when a person wants long work to end in good order. Asked for once it begins. */
  readonly interruption?: (() => AbortSignal) | undefined;
}

/** A terminal has its width and `isTTY`; a file or a pipe has neither. */
export interface LogOutput {
  /** False: full for now; `drain` tells when no more. */
  write(text: string): unknown;
  on?(event: "drain" | "error", listener: (error: Error) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** @throws Error where there is no log yet: looking at it creates none */
export async function withDatabase(
  { env }: LogContext,
  work: (database: Database) => Promise<void>,
): Promise<void> {
  const path = concordPaths(env).database;
  if (!existsSync(path)) {
    throw new Error(`there is no log yet (${path}): nothing has been answered with this CONCORD_HOME`);
  }
  const database = openDatabase(path);
  try {
    await work(database);
  } finally {
    database.close();
  }
}

export function endSignal({ interruption }: LogContext): AbortSignal {
  return interruption?.() ?? new AbortController().signal;
}

/** A bar where a person sees it; none elsewhere, nor on a terminal that gets the command's own output meanwhile. */
export function progressOf({ stderr, stdout }: LogContext, busy = false): Progress {
  const seen = stderr !== undefined && "isTTY" in stderr && stderr.isTTY === true;
  return seen && !(busy && stdout.isTTY === true) ? createProgressBar(stderr) : silentProgress;
}
