import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { Agreement } from "../../src/ports/engine.ts";

export interface LogRecordOptions extends Partial<Omit<LogRecord, "report">> {
  readonly agreement?: Partial<Agreement>;
  /** Why the second member alone answered. */
  readonly notFused?: string;
  /** How many members answered. */
  readonly members?: number;
}

/** A record of two members whose numbers need all 53 bits, so that a rounded column shows. */
export function createLogRecord(options: LogRecordOptions = {}): LogRecord {
  const { agreement, members = 2, notFused, ...fields } = options;
  const requestId = fields.requestId ?? "chatcmpl-1";
  return {
    requestId,
    createdAt: 1_790_000_000_123,
    endpoint: "chat.completions",
    model: "concord",
    promptTokens: 31,
    completionTokens: 64,
    finishReason: "stop",
    latencyMs: 1000 / 3,
    firstTokenMs: 100 / 7,
    confidence: null,
    experiment: null,
    text: null,
    ...fields,
    report: {
      requestId,
      answeredBy: fields.model ?? "concord",
      ...(notFused === undefined ? {} : { answeredBy: "member-1", notFused }),
      agreement: {
        positions: 64,
        jsDivergence: Math.LN2 / 3,
        top1Agreement: 2 / 3,
        stateDistance: Math.SQRT1_2,
        ...agreement,
      },
      members: Array.from({ length: members }, (_, index) => ({
        id: `member-${index}`,
        weight: 1 / (members + 0.1 * index),
        bitsPerByte: Math.PI / (index + 3),
        top1Agreement: 1 / (index + 3),
        entropy: Math.E / (index + 3),
        latencyMs: 1e4 / (index + 7),
      })),
      bitsPerByte: Math.PI / 5,
      entropy: Math.E / 5,
    },
  };
}
