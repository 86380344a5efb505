import type { AnswerTrace } from "./answer-trace.ts";
import type { AnswerReport, Confidence, ExperimentArm, Question } from "./engine.ts";

/** One finished answer. */
export interface LogRecord {
  readonly requestId: string;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
  readonly endpoint: Question["endpoint"];
  readonly model: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly finishReason: "stop" | "length";
  /** Whole request, milliseconds. */
  readonly latencyMs: number;
  /** From the question to the first answer token, milliseconds; null when none was made. */
  readonly firstTokenMs: number | null;
  readonly report: AnswerReport;
  /** The probability that the answer is right; null where none could be told. */
  readonly confidence: LoggedConfidence | null;
  /** The experiment that the answer is of, and the arm that gave it; null outside experiments. */
  readonly experiment: ExperimentArm | null;
  /** Prompt and answer; null unless the configuration asks for them to be kept. */
  readonly text: { readonly prompt: string; readonly answer: string } | null;
}

export interface LoggedConfidence {
  /** In [0, 1]. */
  readonly value: number;
  readonly kind: Extract<Confidence, { value: number }>["kind"];
}

export interface LogQuery {
  /** `disagreement`: highest Jensen–Shannon divergence first, answers without one last. `time`: newest first. */
  readonly order: "disagreement" | "time";
  /** At most this many; 1 to 1000. */
  readonly limit: number;
  /** Only this model's. */
  readonly model?: string | undefined;
  /** Only answers made at or after this time, milliseconds since the Unix epoch. */
  readonly since?: number | undefined;
}

export interface AgreementLog {
  /** Writes the request, its members and its trace in one transaction. @throws Error when the id is taken */
  append(record: LogRecord, trace?: AnswerTrace | null): Promise<void>;
  list(query: LogQuery): Promise<readonly LogRecord[]>;
  find(requestId: string): Promise<LogRecord | null>;
  close(): Promise<void>;
}
