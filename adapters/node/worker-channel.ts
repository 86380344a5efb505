import { Worker } from "node:worker_threads";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import { closeGate, createComputeGate, gateClosed, type ComputeGate } from "./compute-gate.ts";
import { createTurnBatch } from "./turn-batch.ts";
import type {
  AppendRequest,
  AppendResult,
  DecodeRequest,
  DecodeResult,
  EncodeRequest,
  EncodeResult,
  FromWorker,
  FuseRequest,
  FuseResult,
  Request,
  ToWorker,
  WorkerOptions,
  WorkerSetup,
} from "./worker-messages.ts";

/** A running model worker and its open requests. */
export interface WorkerChannel {
  append(request: AppendRequest): Promise<AppendResult>;
  decode(request: DecodeRequest): Promise<DecodeResult>;
  fuse(request: FuseRequest): Promise<FuseResult>;
  encode(request: EncodeRequest): Promise<EncodeResult>;
  forget(sequence: number): void;
  /** Resolves when the worker has failed or ended, with why. */
  readonly lost: Promise<GatewayError>;
  /** Refuses what is open and new, and resolves when the worker has ended. */
  close(): Promise<void>;
  /**
   * The same for a worker that may hang: it is terminated as soon as it computes nothing, since terminating it before
   * would abort the process. Until then it holds neither the process open nor anybody up.
   */
  abandon(): Promise<void>;
}

/** A thread, and the gate to its computations. */
export interface ModelWorker {
  readonly worker: Worker;
  readonly gate: ComputeGate;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: GatewayError): void;
}

interface Posted {
  readonly message: ToWorker;
  readonly transfer: readonly ArrayBuffer[];
}

/** The id under which the worker reports that it has started. */
const START = 0;

/** The longest computation: loading a large graph on a busy machine. */
const PATIENCE_MS = 10_000;

/** A worker makes little garbage: its numbers are not in the engine's heap. */
const YOUNG_MB = 6;

const MEMBER_WORKER = new URL("./member-worker.js", import.meta.url);

/** Starts the thread of one model. @param script what it runs */
export function startModelWorker(name: string, options: WorkerOptions, script = MEMBER_WORKER): ModelWorker {
  const gate = createComputeGate();
  const setup: WorkerSetup = { ...options, gate };
  const worker = new Worker(script, {
    workerData: setup,
    name,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  const finishComputing = (): void => closeGate(gate, PATIENCE_MS);
  process.once("exit", finishComputing);
  worker.once("exit", () => process.off("exit", finishComputing));
  return { worker, gate };
}

/**
 * Resolves once the worker has loaded its graph.
 * @param name for error messages
 * @param signal gives the worker up while it loads
 * @throws GatewayError members_lost when it ends before that, or the signal aborts
 */
export async function openWorkerChannel(
  name: string,
  { worker, gate }: ModelWorker,
  signal?: AbortSignal,
): Promise<WorkerChannel> {
  const pending = new Map<number, Pending>();
  let nextId = START;
  let lost: GatewayError | null = null;
  const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));

  /** The first reason stands. */
  function lose(reason: string, cause?: unknown): GatewayError {
    lost ??= new GatewayError("members_lost", `${name}: ${reason}`, { cause });
    for (const { reject } of pending.values()) reject(lost);
    pending.clear();
    return lost;
  }

  const toldLoss = new Promise<GatewayError>((resolve) => {
    worker.on("error", (error) =>
      resolve(lose(`its worker failed (${error instanceof Error ? error.message : String(error)})`, error)),
    );
    worker.on("exit", (code) => resolve(lose(`its worker ended with code ${code}`)));
  });
  worker.on("message", (messages: readonly FromWorker[]) => {
    for (const message of messages) {
      const id = message.kind === "ready" ? START : message.id;
      const waiting = pending.get(id);
      pending.delete(id);
      if (message.kind === "ready") waiting?.resolve(null);
      else if (message.kind === "result") waiting?.resolve(message.result);
      else waiting?.reject(new GatewayError("internal", `${name}: ${message.message}`));
    }
  });
  // What one turn of the loop asks goes together, so that sequences that were read together are so again.
  const outbox = createTurnBatch<Posted>((posted) =>
    worker.postMessage(
      posted.map(({ message }) => message),
      posted.flatMap(({ transfer }) => transfer),
    ),
  );

  function post(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    outbox.add({ message, transfer });
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

  async function abandon(): Promise<void> {
    lose("it was given up");
    worker.unref();
    await gateClosed(gate);
    await worker.terminate();
  }

  const giveUp = (): void => void abandon();
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    if (lost !== null) throw lost;
    await expectAnswer(START);
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
  return {
    append: (request) => ask(request, []) as Promise<AppendResult>,
    decode: (request) => ask(request, [request.states.buffer]) as Promise<DecodeResult>,
    fuse: (request) => ask(request, []) as Promise<FuseResult>,
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
    lost: toldLoss,
    abandon,
  };
}
