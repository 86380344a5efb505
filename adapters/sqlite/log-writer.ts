import { Worker } from "node:worker_threads";
import { createTurnBatch } from "../node/turn-batch.ts";
import type { LogWriter } from "./log-database.ts";
import type { FromLogWriter, LogEntry, LogWriterSetup, ToLogWriter } from "./log-writer-thread.ts";

export interface LogWriterOptions extends LogWriterSetup {
  /** Told when the upkeep failed; it is tried again. */
  readonly onUpkeepError: (message: string) => void;
}

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

const SCRIPT = new URL("./log-writer-thread.js", import.meta.url);

/**
 * A writer on a thread of its own, which also deletes what is not to be kept, for a file that `openDatabase` has opened.
 * What was not committed when the thread ends is refused; the next answer starts another.
 */
export function createLogWriter({ path, retention, onUpkeepError }: LogWriterOptions): LogWriter {
  const waiting = new Map<number, Waiting>();
  const entries = createTurnBatch<LogEntry>((together) => post((worker ??= start()), together));
  let ids = 0;
  let worker: Worker | null = start();

  function start(): Worker {
    const started = new Worker(SCRIPT, {
      workerData: { path, retention } satisfies LogWriterSetup,
      name: "log writer",
    });
    // An open gateway holds the process, not this thread.
    started.unref();
    const lost = (reason: string): void => {
      if (worker !== started) return;
      worker = null;
      const error = new Error(`agreement log: the answer could not be written: ${reason}`);
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    started.on("message", (message: FromLogWriter) => {
      if ("upkeep" in message) return onUpkeepError(message.upkeep);
      for (const id of message.written) settle(id)?.resolve();
      for (const [id, reason] of message.failed) settle(id)?.reject(new Error(reason));
    });
    started.on("error", (error) => lost(error instanceof Error ? error.message : String(error)));
    started.on("exit", (code) => lost(`the log's thread ended with code ${code}`));
    return started;
  }

  function settle(id: number): Waiting | undefined {
    const one = waiting.get(id);
    waiting.delete(id);
    return one;
  }

  return {
    append: (record, trace) =>
      new Promise((resolve, reject) => {
        const id = ++ids;
        waiting.set(id, { resolve, reject });
        entries.add({ id, record, trace });
      }),
    async close() {
      entries.flush();
      const running = worker;
      if (running === null) return;
      const ended = new Promise<void>((resolve) => {
        running.once("exit", () => resolve());
      });
      running.ref();
      post(running, "close");
      await ended;
    },
  };
}

function post(worker: Worker, message: ToLogWriter): void {
  worker.postMessage(message, []);
}
