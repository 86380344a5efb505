import type { Clock } from "../../../src/ports/clock.ts";

/** What the log's commands take from the process; a test brings its own. */
export interface LogContext {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly stdout: LogOutput;
  /** Where progress is drawn. Default: the standard error. */
  readonly stderr?: NodeJS.WritableStream | undefined;
  /** Aborted when a person wants long work to end in good order. Asked for once it begins. */
  readonly interruption?: (() => AbortSignal) | undefined;
}

/** A terminal has its width and `isTTY`; a file or a pipe has neither. */
export interface LogOutput {
  /** False: full for now; `drain` tells when no more. */
  write(text: string): unknown;
  once?(event: "drain", listener: () => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}
