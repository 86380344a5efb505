import { Worker } from "node:worker_threads";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { Observations } from "../../src/ports/observations.ts";
import type { FromObservationWorker, ToObservationWorker } from "./observation-worker.ts";

export interface ObservationReader extends Observations {
  close(): Promise<void>;
}

export interface ObservationReaderOptions {
  /** How long a caller waits at most, milliseconds. Default 5 s. */
  readonly timeoutMs?: number | undefined;
  /** So many calls may wait; more are refused. Default 64. */
  readonly queue?: number | undefined;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const SCRIPT = new URL("./observation-worker.js", import.meta.url);

/**
 * Observations in the SQLite file at `path`, which `openDatabase` has opened, read on a thread of its own. Calls are
 * answered in turn; they throw a GatewayError `not_ready` when too many wait or one waits for too long. A thread that
 * ends is started again by the next call.
 */
export function createObservationReader(
  path: string,
  { timeoutMs = 5000, queue = 64 }: ObservationReaderOptions = {},
): ObservationReader {
  const waiting = new Map<number, Waiting>();
  let calls = 0;
  let closed = false;
  // From the beginning: it also writes what the write-ahead log has gathered to the database.
  let worker: Worker | null = start();

  function start(): Worker {
    const started = new Worker(SCRIPT, { workerData: path, name: "log" });
    // An open gateway holds the process, not this thread.
    started.unref();
    const lost = (reason: string): void => {
      if (worker !== started) return;
      worker = null;
      for (const { reject } of waiting.values()) {
        reject(new GatewayError("not_ready", `the log cannot be read now: ${reason}; try again`));
      }
      waiting.clear();
    };
    started.on("message", (message: FromObservationWorker) => {
      const caller = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.kind === "result") caller?.resolve(message.result);
      else if (message.range) caller?.reject(new RangeError(message.message));
      else caller?.reject(new Error(`the log could not be read: ${message.message}`));
    });
    started.on("error", (error) => lost(error.message));
    started.on("exit", (code) => lost(`its thread ended with code ${code}`));
    return started;
  }

  function call<Result>(method: keyof Observations, ...args: readonly unknown[]): Promise<Result> {
    if (closed)
      return Promise.reject(new GatewayError("not_ready", "the log is closed: the gateway is stopping"));
    if (waiting.size >= queue) {
      const message = `the log is asked too much: ${waiting.size} questions wait already; try again later`;
      return Promise.reject(new GatewayError("not_ready", message));
    }
    worker ??= start();
    const id = ++calls;
    post(worker, { kind: "read", id, method, args, deadline: Date.now() + timeoutMs });
    return new Promise<Result>((resolve, reject) => {
      const late = setTimeout(() => {
        waiting.delete(id);
        const message = `the log did not answer within ${timeoutMs} ms; narrow the time range`;
        reject(new GatewayError("not_ready", message));
      }, timeoutMs);
      waiting.set(id, {
        resolve(result) {
          clearTimeout(late);
          resolve(result as Result);
        },
        reject(error) {
          clearTimeout(late);
          reject(error);
        },
      });
    });
  }

  return {
    windows: (...args) => call("windows", ...args),
    answers: (...args) => call("answers", ...args),
    answer: (...args) => call("answer", ...args),
    similarities: (...args) => call("similarities", ...args),
    alerts: (...args) => call("alerts", ...args),
    judged: (...args) => call("judged", ...args),
    size: () => call("size"),
    async close() {
      closed = true;
      const running = worker;
      if (running === null) return;
      const ended = new Promise<void>((resolve) => {
        running.once("exit", () => resolve());
      });
      running.ref();
      post(running, { kind: "close" });
      await ended;
    },
  };
}

function post(worker: Worker, message: ToObservationWorker): void {
  worker.postMessage(message, []);
}
