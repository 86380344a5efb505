import type { ModelShape } from "../../src/weights/model-shape.ts";
import type { ComputeGate } from "./compute-gate.ts";

/** What a worker is to run. */
export interface WorkerOptions {
  /** The member's graph and sizes; null for a worker that only decodes. */
  readonly member: { readonly body: string; readonly shape: ModelShape } | null;
  /** Head graph, loaded when first asked. */
  readonly head: string;
  /** Threads that one operator may use. */
  readonly threads: number;
}

/** What a worker is started with. */
export interface WorkerSetup extends WorkerOptions {
  readonly gate: ComputeGate;
}

/** Reads `tokens` at position `start` of a sequence, which holds at least that many tokens. */
export interface AppendRequest {
  readonly kind: "append";
  readonly sequence: number;
  readonly start: number;
  readonly tokens: Int32Array;
  /** States to return, counted from the last token. */
  readonly rows: number;
  readonly taps: readonly number[];
}

/** Rows of states (n, width) to logits (n, V). */
export interface DecodeRequest {
  readonly kind: "decode";
  readonly states: Float32Array<ArrayBuffer>;
  readonly rows: number;
}

/** Frees a sequence's cache. Has no answer. */
export interface ForgetRequest {
  readonly kind: "forget";
  readonly sequence: number;
}

/** Ends the worker once its work is done. Has no answer. */
export interface CloseRequest {
  readonly kind: "close";
}

export interface AppendResult {
  readonly hidden: Float32Array<ArrayBuffer>;
  /** In the order asked. */
  readonly taps: readonly Float32Array<ArrayBuffer>[];
}

export interface DecodeResult {
  readonly logits: Float32Array<ArrayBuffer>;
}

export type Ask = { readonly id: number; readonly request: AppendRequest | DecodeRequest };
export type ToWorker = Ask | ForgetRequest | CloseRequest;

export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "result"; readonly id: number; readonly result: AppendResult | DecodeResult }
  | { readonly kind: "failure"; readonly id: number; readonly message: string };
