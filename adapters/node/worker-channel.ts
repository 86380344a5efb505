import { Worker } from "node:worker_threads";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import { closeGate, createComputeGate } from "./compute-gate.ts";
import type {
  AppendRequest,
  AppendResult,
  DecodeRequest,
  DecodeResult,
  EncodeRequest,
  EncodeResult,
  FromWorker,
  Request,
  ToWorker,
  WorkerOptions,
  WorkerSetup,
} from "./worker-messages.ts";

/** A running model worker and its open requests. */
export interface WorkerChannel {
  append(request: AppendRequest): Promise<AppendResult>;
  decode(request: DecodeRequest): Promise<DecodeResult>;
  encode(request: EncodeRequest): Promise<EncodeResult>;
  forget(sequence: number): void;
  /** Refuses what is open and new, and resolves when the worker has ended. */
  close(): Promise<void>;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: GatewayError): void;
}

/** The id under which the worker reports that it has started. */
const START = 0;

/** The longest computation: loading a large graph on a busy machine. */
const PATIENCE_MS = 10_000;

/** Starts the thread of one model. */
export function startModelWorker(name: string, options: WorkerOptions): Worker {
  const gate = createComputeGate();
  const setup: WorkerSetup = { ...options, gate };
  const worker = new Worker(new URL("./member-worker.js", import.meta.url), { workerData: setup, name });
  const finishComputing = (): void => closeGate(gate, PATIENCE_MS);
  process.once("exit", finishComputing);
  worker.once("exit", () => process.off("exit", finishComputing));
  return worker;
}

/**
 * Resolves once the worker has loaded its graph.
 * @param name for error messages
 * @throws GatewayError members_lost when it ends before that
 */
export async function openWorkerChannel(name: string, worker: Worker): Promise<WorkerChannel> {
  const pending = new Map<number, Pending>();
  let nextId = START;
  let lost: GatewayError | null = null;
  const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));

  function lose(reason: string, cause?: unknown): void {
    lost ??= new GatewayError("members_lost", `${name}: ${reason}`, { cause });
    for (const { reject } of pending.values()) reject(lost);
    pending.clear();
  }

  worker.on("error", (error) =>
    lose(`its worker failed (${error instanceof Error ? error.message : String(error)})`, error),
  );
  worker.on("exit", (code) => lose(`its worker ended with code ${code}`));
  worker.on("message", (message: FromWorker) => {
    const id = message.kind === "ready" ? START : message.id;
    const waiting = pending.get(id);
    pending.delete(id);
    if (message.kind === "ready") waiting?.resolve(null);
    else if (message.kind === "result") waiting?.resolve(message.result);
    else waiting?.reject(new GatewayError("internal", `${name}: ${message.message}`));
  });

  function post(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    worker.postMessage(message, [...transfer]);
  }

  function expectAnswer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject });
    });
  }

  function ask(request: Request, transfer: readonly ArrayBuffer[]): Promise<unknown> {
    if (lost !== null) return Promise.reject(lost);
    nextId += 1;
    post({ id: nextId, request }, transfer);
    return expectAnswer(nextId);
  }

  await expectAnswer(START);
  return {
    append: (request) => ask(request, []) as Promise<AppendResult>,
    decode: (request) => ask(request, [request.states.buffer]) as Promise<DecodeResult>,
    encode: (request) => ask(request, []) as Promise<EncodeResult>,
    forget: (sequence) => {
      if (lost === null) post({ kind: "forget", sequence });
    },
    async close() {
      if (lost === null) {
        lose("it was closed");
        post({ kind: "close" });
      }
      await ended;
    },
  };
}
