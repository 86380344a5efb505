import { Writable } from "node:stream";
import pc from "picocolors";
import { pino, stdTimeFunctions, type Logger } from "pino";
import type { RequestRecord, SettledSignal, Telemetry } from "../../../src/ports/telemetry.ts";

/** Where the gateway says what it does: a line for each event, with the same fields everywhere. */
export type Log = Logger;

/** From the most to the least that is said. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  readonly level: LogLevel;
  /** Default: standard error. */
  readonly stream?: NodeJS.WritableStream | undefined;
}

/** JSON lines; on a terminal sentences. */
export function createLog({ level, stream = process.stderr }: LogOptions): Log {
  const terminal = "isTTY" in stream && stream.isTTY === true;
  const destination = { write: (line: string) => void stream.write(terminal ? sentenceOf(line) : line) };
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}

/** A line for each request, for members that are lost and come back, and for signals that move and settle. */
export function logTelemetry(log: Log): Partial<Telemetry> {
  const lost = new Set<string>();
  return {
    requestEnded(request) {
      const level = request.failed ? "warn" : request.routine ? "debug" : "info";
      if (log.isLevelEnabled(level)) log[level](requestFields(request), requestSentence(request));
    },
    healthChanged({ id, state, reason, restartsAt }) {
      if (state === "up" && lost.delete(id)) log.info({ member: id }, `back: ${id}`);
      if (restartsAt === null) return;
      lost.add(id);
      const at = new Date(restartsAt).toISOString();
      log.warn(
        { member: id, reason, restarts_at: at },
        `lost: ${id} (${reason}); it is started again at ${at}`,
      );
    },
    alertRaised: ({ signal, member, direction, value, reference, falseAlarmRate }) =>
      log.warn(
        { signal, member, direction, value, reference, false_alarm_rate: falseAlarmRate },
        `drift: ${nameOf(signal, member)} went ${direction}, from ${reference.toPrecision(3)} to ${value.toPrecision(3)}`,
      ),
    signalSettled: ({ signal, member, how }) =>
      log.info({ signal, member, settled: how }, `${nameOf(signal, member)} ${SETTLED[how]}`),
  };
}

const SETTLED: Record<SettledSignal["how"], string> = {
  learned: "is watched from now on",
  returned: "is back where it was",
  relearned: "has stayed where it went: that is what it is held against from now on",
};

const nameOf = (signal: string, member: string | null): string =>
  member === null ? signal : `${signal} of ${member}`;

/** A stream of lines, each of which is logged. */
export function logLines(log: Log): NodeJS.WritableStream {
  return new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      for (const line of text.split("\n")) if (line !== "") log.info(line);
      done();
    },
  });
}

function requestFields({
  requestId,
  method,
  path,
  status,
  latencyMs,
  traceId,
  error,
  answers,
}: RequestRecord) {
  const [first] = answers;
  const ends = answers.flatMap(({ outcome }) => (outcome.type === "end" ? [outcome] : []));
  const degraded = new Set(
    ends.flatMap(({ report }) => report.members.flatMap(({ id, lost }) => (lost ? [id] : []))),
  );
  return {
    request_id: requestId,
    method,
    path,
    status,
    latency_ms: rounded(latencyMs),
    ...(error !== null && { error }),
    ...(first !== undefined && { model: first.model }),
    ...(first?.firstTokenMs != null && { first_token_ms: rounded(first.firstTokenMs) }),
    ...(ends[0] !== undefined && { answered_by: ends[0].report.answeredBy }),
    ...(answers.length > 0 && tokensOf(answers)),
    ...(ends.length > 0 && { degraded: [...degraded] }),
    ...(traceId !== null && { trace_id: traceId }),
  };
}

function tokensOf(answers: RequestRecord["answers"]) {
  const sums = { prompt_tokens: 0, completion_tokens: 0 };
  for (const { outcome } of answers) {
    if (outcome.type === "vectors") sums.prompt_tokens += outcome.promptTokens;
    if (outcome.type !== "end") continue;
    sums.prompt_tokens += outcome.usage.promptTokens;
    sums.completion_tokens += outcome.usage.completionTokens;
  }
  return sums;
}

/** `POST /v1/completions 200 in 812 ms, concord, 12 + 16 tokens, cmpl-…` */
function requestSentence(request: RequestRecord): string {
  const { method, path, status, error, requestId } = request;
  const { latency_ms, model, prompt_tokens, completion_tokens, degraded = [] } = requestFields(request);
  return [
    `${method} ${path} ${status} in ${Math.round(latency_ms)} ms`,
    ...(error === null ? [] : [error]),
    ...(model === undefined ? [] : [model]),
    ...(prompt_tokens === undefined ? [] : [`${prompt_tokens} + ${completion_tokens} tokens`]),
    ...(degraded.length === 0 ? [] : [`without ${degraded.join(", ")}`]),
    requestId,
  ].join(", ");
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}

/** A line of JSON as a person reads it: the sentence, with its first word or its address made visible. */
function sentenceOf(line: string): string {
  const {
    level,
    time,
    msg = "",
    request_id: id,
    err,
  } = JSON.parse(line) as {
    readonly level: string;
    readonly time: string;
    readonly msg?: string;
    readonly request_id?: string;
    readonly err?: { readonly stack?: string };
  };
  const colour = level === "info" || level === "debug" ? pc.green : pc.red;
  const said = msg.replace(/^\w+(?=: )/, colour).replace(/http:\/\/\S+/, (url) => pc.bold(url));
  const when = id === undefined ? "" : `${pc.dim(time.slice(11, 19))} `;
  return `${when}${said}\n${err?.stack === undefined ? "" : `${err.stack}\n`}`;
}
