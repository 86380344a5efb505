import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { AnswerTrace } from "../../src/ports/answer-trace.ts";
import type { MemberReport } from "../../src/ports/engine.ts";
import { rowInsert, type Statement } from "./row-insert.ts";
import {
  requestMembers,
  requests,
  requestTexts,
  requestTraces,
  type agreementMetricNames,
  type agreementMetrics,
} from "./schema.ts";
import { traceBytes } from "./trace-bytes.ts";

type MetricName = (typeof agreementMetricNames)[number];
type RequestRow = typeof requests.$inferSelect;
type MemberRow = typeof requestMembers.$inferSelect;
type MetricRow = typeof agreementMetrics.$inferSelect;
type TextRow = typeof requestTexts.$inferSelect;

/** What the database holds of one answer, in the order of the report. */
export interface StoredAnswer {
  readonly request: RequestRow;
  readonly members: readonly MemberRow[];
  readonly metrics: readonly MetricRow[];
  readonly text: TextRow | null;
}

/** The integer id is looked up, since D1's batch shows no statement another's result. */
const ofRequest = { request: "(select id from requests where request_id = ?)" };
const insertRequest = rowInsert(requests);
const insertMember = rowInsert(requestMembers, ofRequest);
const insertTrace = rowInsert(requestTraces, ofRequest);
const insertText = rowInsert(requestTexts, ofRequest);

/** What writes the rows of one answer, in order. One statement per member: D1 binds at most 100 values in one. */
export function answerInserts(record: LogRecord, trace: AnswerTrace | null): Statement[] {
  const { requestId: request, text } = record;
  return [
    // SQLite gives the id.
    insertRequest({ id: null, ...requestRow(record) }),
    ...record.report.members.map((member, position) =>
      insertMember({ request, ...memberRow(member, position) }),
    ),
    ...(trace === null ? [] : [insertTrace({ request, numbers: traceBytes(trace), tokens: trace.tokens })]),
    ...(text === null ? [] : [insertText({ request, ...text })]),
  ];
}

function requestRow(record: LogRecord): Omit<RequestRow, "id"> {
  const { agreement } = record.report;
  return {
    requestId: record.requestId,
    createdAt: record.createdAt,
    endpoint: record.endpoint,
    model: record.model,
    answeredBy: record.report.answeredBy,
    notFused: record.report.notFused ?? null,
    promptTokens: record.promptTokens,
    completionTokens: record.completionTokens,
    finishReason: record.finishReason,
    latencyMs: record.latencyMs,
    firstTokenMs: record.firstTokenMs,
    jsDivergence: agreement.jsDivergence,
    positions: agreement.positions,
    top1Agreement: agreement.top1Agreement,
    stateDistance: agreement.stateDistance,
    bitsPerByte: record.report.bitsPerByte,
    entropy: record.report.entropy,
    confidence: record.confidence?.value ?? null,
    confidenceKind: record.confidence?.kind ?? null,
    degraded: record.report.members.some(({ lost }) => lost !== undefined),
    experiment: record.experiment?.name ?? null,
    arm: record.experiment?.arm ?? null,
  };
}

function memberRow(member: MemberReport, position: number): Omit<MemberRow, "request"> {
  return {
    position,
    member: member.id,
    weight: member.weight,
    bitsPerByte: member.bitsPerByte,
    top1Agreement: member.top1Agreement,
    entropy: member.entropy,
    latencyMs: member.latencyMs,
    abstainedPositions: member.abstained?.positions ?? null,
    abstainedReason: member.abstained?.reason ?? null,
    lostPosition: member.lost?.position ?? null,
    lostReason: member.lost?.reason ?? null,
  };
}

/** @throws Error when the answer has no `positions`, which every written answer has */
export function recordOf({ request, members, metrics, text }: StoredAnswer): LogRecord {
  const { positions, jsDivergence, top1Agreement, stateDistance, bitsPerByte, entropy } =
    request.positions === null ? metricsOf(metrics) : request;
  if (positions === null) {
    throw new Error(
      `agreement log: request ${request.requestId} has no "positions" in requests or agreement_metrics; ` +
        "the database was changed from outside, restore it from a copy or delete this request's row",
    );
  }
  const { confidence, confidenceKind, experiment, arm } = request;
  return {
    requestId: request.requestId,
    createdAt: request.createdAt,
    endpoint: request.endpoint,
    model: request.model,
    promptTokens: request.promptTokens,
    completionTokens: request.completionTokens,
    finishReason: request.finishReason,
    latencyMs: request.latencyMs,
    firstTokenMs: request.firstTokenMs,
    report: {
      requestId: request.requestId,
      answeredBy: request.answeredBy ?? request.model,
      ...(request.notFused === null ? {} : { notFused: request.notFused }),
      agreement: { positions, jsDivergence, top1Agreement, stateDistance },
      members: members.map(memberReport),
      bitsPerByte,
      entropy,
    },
    confidence:
      confidence === null || confidenceKind === null ? null : { value: confidence, kind: confidenceKind },
    experiment: experiment === null || arm === null ? null : { name: experiment, arm },
    text: text === null ? null : { prompt: text.prompt, answer: text.answer },
  };
}

/** The metrics of an answer from before they were columns. */
function metricsOf(rows: readonly MetricRow[]) {
  const values = new Map(rows.map(({ metric, value }) => [metric, value]));
  const metric = (name: MetricName) => values.get(name) ?? null;
  return {
    positions: metric("positions"),
    jsDivergence: metric("js_divergence"),
    top1Agreement: metric("top1_agreement"),
    stateDistance: metric("state_distance"),
    bitsPerByte: metric("bits_per_byte"),
    entropy: metric("entropy"),
  };
}

function memberReport(row: MemberRow): MemberReport {
  const { abstainedPositions, abstainedReason, lostPosition, lostReason } = row;
  return {
    id: row.member,
    weight: row.weight,
    bitsPerByte: row.bitsPerByte,
    top1Agreement: row.top1Agreement,
    entropy: row.entropy,
    latencyMs: row.latencyMs,
    ...(abstainedPositions !== null &&
      abstainedReason !== null && { abstained: { positions: abstainedPositions, reason: abstainedReason } }),
    ...(lostPosition !== null &&
      lostReason !== null && { lost: { position: lostPosition, reason: lostReason } }),
  };
}
