import type { AnswerEvent } from "./engine.ts";
import type { GatewayErrorCode } from "./gateway-error.ts";
import type { Health } from "./health.ts";
import type { Alert } from "./observations.ts";
import { silentSpan, type Attributes, type Span } from "./span.ts";

/** W3C Trace Context as the client sent it: the request goes on with the client's trace. */
export interface TraceParent {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

/** An operation's name in OpenTelemetry's GenAI conventions. */
export type Operation = "chat" | "text_completion" | "embeddings";

/** One finished or failed answer, or list of vectors. */
export interface AnswerRecord {
  readonly requestId: string;
  readonly operation: Operation;
  /** The model that was asked; one that exists. */
  readonly model: string;
  /** Whole answer, milliseconds. */
  readonly latencyMs: number;
  /** To the first token, milliseconds; null where none was made. */
  readonly firstTokenMs: number | null;
  readonly outcome: AnswerOutcome;
}

export type AnswerOutcome =
  | Extract<AnswerEvent, { type: "end" }>
  | { readonly type: "vectors"; readonly promptTokens: number }
  | { readonly type: "error"; readonly code: GatewayErrorCode };

/** One request by HTTP, told when its response is out. */
export interface RequestRecord {
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  /** The pattern that the path matched, such as `/v1/models/:id`; null where it matched none. */
  readonly route: string | null;
  readonly status: number;
  /** To the end of the response, milliseconds. */
  readonly latencyMs: number;
  /** What it failed with, in the middle of a stream too; null where it did not. */
  readonly error: GatewayErrorCode | null;
  /** Whether that is the gateway's own failure: not what the client did wrong, nor that it went away. */
  readonly failed: boolean;
  /** Asked by machines every few seconds: health, metrics. */
  readonly routine: boolean;
  readonly traceId: string | null;
  /** One for each of the request's prompts. */
  readonly answers: readonly AnswerRecord[];
}

/** A watched signal that needs no alert: it is watched from now on, is back where it was, or has stayed where it went. */
export interface SettledSignal extends Pick<Alert, "signal" | "member"> {
  readonly how: "learned" | "returned" | "relearned";
}

/**
 * What the gateway, the engine and the supervisor tell of themselves while they run. Nothing told may throw or wait: no
 * answer is slower or fails because of who listens. Texts are never told.
 */
export interface Telemetry {
  /** Begins the tree of one request. */
  startTrace(name: string, attributes: Attributes, parent: TraceParent): Span;
  /** Each is followed by one `requestEnded`. */
  requestStarted(method: string): void;
  requestEnded(request: RequestRecord): void;
  answered(answer: AnswerRecord): void;
  /** A member, or the shared decoder, was lost, is started again or is back. */
  healthChanged(health: Health): void;
  /** How many questions a member has not answered yet. */
  questionsOpen(id: string, count: number): void;
  /** An answer's rows are in the log; milliseconds. */
  logAppended(latencyMs: number): void;
  /** A signal of the answers has moved. */
  alertRaised(alert: Alert): void;
  signalSettled(signal: SettledSignal): void;
}

/** Nobody listens. */
export const noTelemetry: Telemetry = {
  startTrace: () => silentSpan,
  requestStarted() {},
  requestEnded() {},
  answered() {},
  healthChanged() {},
  questionsOpen() {},
  logAppended() {},
  alertRaised() {},
  signalSettled() {},
};
