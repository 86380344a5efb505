import type { AnswerReport, Question } from "./engine.ts";

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
  /** Prompt and answer; null unless the configuration asks for them to be kept. */
  readonly text: { readonly prompt: string; readonly answer: string } | null;
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
  /** Writes the request, its members and its metrics in one transaction. @throws Error when the id is taken */
  append(record: LogRecord): Promise<void>;
  list(query: LogQuery): Promise<readonly LogRecord[]>;
  find(requestId: string): Promise<LogRecord | null>;
  close(): Promise<void>;
}
