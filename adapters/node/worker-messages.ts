import type { ModelShape } from "../../src/weights/model-shape.ts";
import type { ComputeGate } from "./compute-gate.ts";
import type { EncoderRecipe } from "./models/manifest.ts";
import type { Provider } from "./provider.ts";

/** What a worker is to run. */
export interface WorkerOptions {
  /** The member's graph and sizes; null for a worker that reads no sequences. */
  readonly member: {
    readonly body: string;
    readonly shape: ModelShape;
    /** For keys and values of what was read before; 0: none are kept. */
    readonly prefixBytes: number;
  } | null;
  /** Head graph, loaded when first asked; null for a worker that decodes nothing. */
  readonly head: string | null;
  /** A fusion graph; null for a worker that fuses nothing. */
  readonly fusion: FusionShape | null;
  /** A sentence encoder's graph; null for a worker that encodes nothing. */
  readonly encoder: WorkerEncoder | null;
  /** Threads that one operator may use. */
  readonly threads: number;
  readonly provider: Provider;
}

/** A fusion graph on disk. */
export interface FusionShape {
  readonly graph: string;
  /** d of each member. */
  readonly widths: readonly number[];
  /** V. */
  readonly vocabularySize: number;
  /** k. */
  readonly dimension: number;
}

export interface WorkerEncoder {
  readonly graph: string;
  readonly width: number;
  /** Names of the graph's inputs. */
  readonly inputs: readonly string[];
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

/** The members' states at some positions to what they and the answer say there. */
export interface FuseRequest {
  readonly kind: "fuse";
  readonly positions: readonly {
    /** h_m of each member. */
    readonly states: readonly Float32Array[];
    /** θ (4, m + 1), row-major. */
    readonly gate: readonly number[];
    /** How each member's last token may go on (m); null where it is over. */
    readonly continued: readonly ({
      readonly ended: number;
      readonly tokens: Int32Array;
      readonly shares: Float64Array;
    } | null)[];
    /** Where the rows are written: the answer's, each member's (m + 1, each V) and each z_m (m, each k). */
    readonly into: Float32Array<SharedArrayBuffer>;
  }[];
}

/** Texts to their pooled states. */
export interface EncodeRequest {
  readonly kind: "encode";
  /** Tokens of each text, with what the tokenizer puts around it. */
  readonly texts: readonly Int32Array[];
  readonly layers: readonly number[];
  readonly pooling: EncoderRecipe["pooling"];
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
  /** Tokens that were read before and only copied. */
  readonly reused: number;
  readonly hidden: Float32Array<ArrayBuffer>;
  /** In the order asked. */
  readonly taps: readonly Float32Array<ArrayBuffer>[];
}

export interface DecodeResult {
  readonly logits: Float32Array<ArrayBuffer>;
}

/** `FusedWords`, but for the rows. */
export interface FusedRow {
  readonly divergence: number;
  /** Of the members and, last, the answer. */
  readonly entropies: readonly number[];
  readonly shares: readonly number[];
  readonly tops: readonly number[];
}

export interface FuseResult {
  /** In the order of the positions. */
  readonly rows: readonly FusedRow[];
}

export interface EncodeResult {
  /** (n, d) of each layer, in the order asked. */
  readonly pooled: readonly Float32Array<ArrayBuffer>[];
}

export type Request = AppendRequest | DecodeRequest | FuseRequest | EncodeRequest;
export type Result = AppendResult | DecodeResult | FuseResult | EncodeResult;

export type Ask = { readonly id: number; readonly request: Request };
export type ToWorker = Ask | ForgetRequest | CloseRequest;

/** Messages cross in arrays, all of one turn together. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "result"; readonly id: number; readonly result: Result }
  | { readonly kind: "failure"; readonly id: number; readonly message: string };
