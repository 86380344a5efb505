import type { BasicType } from "hyparquet-writer";
import type { LogRecord } from "../../src/ports/agreement-log.ts";

/** One column of a flat export. */
export interface ExportColumn {
  readonly name: string;
  /** Parquet's. */
  readonly type: BasicType;
  readonly nullable: boolean;
  value(record: LogRecord): string | number | boolean | Date | null;
}

/** A column that always has a value. */
const whole = (name: string, type: BasicType, value: ExportColumn["value"]): ExportColumn => ({
  name,
  type,
  nullable: false,
  value,
});
const maybe = (name: string, type: BasicType, value: ExportColumn["value"]): ExportColumn => ({
  name,
  type,
  nullable: true,
  value,
});

/** What a CSV or Parquet export has of an answer: names as in the database, members as JSON. */
export const EXPORT_COLUMNS: readonly ExportColumn[] = [
  whole("request_id", "STRING", (record) => record.requestId),
  whole("created_at", "TIMESTAMP", (record) => new Date(record.createdAt)),
  whole("endpoint", "STRING", (record) => record.endpoint),
  whole("model", "STRING", (record) => record.model),
  whole("answered_by", "STRING", ({ report }) => report.answeredBy),
  maybe("not_fused", "STRING", ({ report }) => report.notFused ?? null),
  whole("prompt_tokens", "INT32", (record) => record.promptTokens),
  whole("completion_tokens", "INT32", (record) => record.completionTokens),
  whole("finish_reason", "STRING", (record) => record.finishReason),
  whole("latency_ms", "DOUBLE", (record) => record.latencyMs),
  maybe("first_token_ms", "DOUBLE", (record) => record.firstTokenMs),
  whole("positions", "INT32", ({ report }) => report.agreement.positions),
  maybe("js_divergence", "DOUBLE", ({ report }) => report.agreement.jsDivergence),
  maybe("top1_agreement", "DOUBLE", ({ report }) => report.agreement.top1Agreement),
  maybe("state_distance", "DOUBLE", ({ report }) => report.agreement.stateDistance),
  maybe("bits_per_byte", "DOUBLE", ({ report }) => report.bitsPerByte),
  maybe("entropy", "DOUBLE", ({ report }) => report.entropy),
  maybe("confidence", "DOUBLE", ({ confidence }) => confidence?.value ?? null),
  maybe("confidence_kind", "STRING", ({ confidence }) => confidence?.kind ?? null),
  maybe("experiment", "STRING", ({ experiment }) => experiment?.name ?? null),
  maybe("arm", "STRING", ({ experiment }) => experiment?.arm ?? null),
  whole("degraded", "BOOLEAN", ({ report }) => report.members.some(({ lost }) => lost !== undefined)),
  whole("members", "STRING", ({ report }) => JSON.stringify(report.members)),
  maybe("prompt", "STRING", ({ text }) => text?.prompt ?? null),
  maybe("answer", "STRING", ({ text }) => text?.answer ?? null),
];

export const CSV_HEADER = `${EXPORT_COLUMNS.map(({ name }) => name).join(",")}\r\n`;

/** RFC 4180; what there is none of is empty, times are in ISO 8601. */
export function csvLine(record: LogRecord): string {
  return `${EXPORT_COLUMNS.map(({ value }) => csvField(value(record))).join(",")}\r\n`;
}

function csvField(value: ReturnType<ExportColumn["value"]>): string {
  if (value === null) return "";
  const text = value instanceof Date ? value.toISOString() : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function parquetRow(record: LogRecord): Record<string, unknown> {
  return Object.fromEntries(EXPORT_COLUMNS.map(({ name, value }) => [name, value(record)]));
}
