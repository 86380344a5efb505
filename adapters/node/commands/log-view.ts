import type pc from "picocolors";
import type { LogRecord } from "../../../src/ports/agreement-log.ts";
import type { MemberReport } from "../../../src/ports/engine.ts";
import { tableLines, type Column } from "./table.ts";

type Colors = ReturnType<typeof pc.createColors>;

const requestColumns: readonly Column<LogRecord>[] = [
  {
    title: "JSD",
    align: "right",
    expendable: 1,
    cell: ({ report }) => decimals(report.agreement.jsDivergence),
  },
  {
    title: "TOP-1",
    align: "right",
    expendable: 3,
    cell: ({ report }) => percent(report.agreement.top1Agreement),
  },
  { title: "TIME (UTC)", align: "left", expendable: 2, cell: ({ createdAt }) => minute(createdAt) },
  { title: "REQUEST", align: "left", expendable: 0, cell: ({ requestId }) => printable(requestId) },
  { title: "MODEL", align: "left", expendable: 4, cell: (record) => printable(modelOf(record)) },
  { title: "TOKENS", align: "right", expendable: 5, cell: (record) => String(record.completionTokens) },
  { title: "LATENCY", align: "right", expendable: 6, cell: ({ latencyMs }) => milliseconds(latencyMs) },
];

const memberColumns: readonly Column<MemberReport>[] = [
  { title: "MEMBER", align: "left", expendable: 0, cell: ({ id }) => printable(id) },
  { title: "WEIGHT", align: "right", expendable: 1, cell: ({ weight }) => decimals(weight) },
  { title: "BITS/BYTE", align: "right", expendable: 2, cell: ({ bitsPerByte }) => decimals(bitsPerByte) },
  { title: "TOP-1", align: "right", expendable: 3, cell: ({ top1Agreement }) => percent(top1Agreement) },
  { title: "ENTROPY", align: "right", expendable: 4, cell: ({ entropy }) => decimals(entropy) },
  { title: "LATENCY", align: "right", expendable: 5, cell: ({ latencyMs }) => milliseconds(latencyMs) },
];

/** The requests as a table that is at most `width` characters wide. */
export function requestLines(records: readonly LogRecord[], width: number, colors: Colors): string[] {
  const [titles = "", ...rows] = tableLines(requestColumns, records, width);
  return [colors.bold(titles), ...rows];
}

/** Everything the log has of one request. */
export function recordLines(record: LogRecord, width: number, colors: Colors): string[] {
  const { agreement, members, bitsPerByte, entropy, notFused } = record.report;
  const [titles = "", ...memberRows] = tableLines(memberColumns, members, width);
  const first =
    record.firstTokenMs === null ? "" : `, the first token after ${milliseconds(record.firstTokenMs)}`;
  return [
    colors.bold(printable(record.requestId)),
    `${minute(record.createdAt)} UTC, ${printable(modelOf(record))}, ${record.endpoint}`,
    ...(notFused === undefined ? [] : [`Not fused: ${printable(notFused)}`]),
    `${record.promptTokens} tokens read, ${record.completionTokens} written, finish reason ${record.finishReason}`,
    `${milliseconds(record.latencyMs)}${first}`,
    "",
    colors.bold(`Agreement over ${agreement.positions} tokens`),
    `Jensen–Shannon divergence  ${decimals(agreement.jsDivergence)} nats`,
    `Same first choice          ${percent(agreement.top1Agreement)}`,
    `State distance             ${decimals(agreement.stateDistance)}`,
    "",
    colors.bold("Answer"),
    `Bits per byte              ${decimals(bitsPerByte)}`,
    `Entropy                    ${decimals(entropy)} nats`,
    "",
    colors.bold(titles),
    ...memberRows,
    ...members.flatMap(({ id, abstained }) =>
      abstained === undefined
        ? []
        : [`${printable(id)} abstained at ${abstained.positions} positions: ${printable(abstained.reason)}`],
    ),
    ...members.flatMap(({ id, lost }) =>
      lost === undefined
        ? []
        : [
            `Degraded: without ${printable(id)} from token ${lost.position + 1} of the answer on: ${printable(lost.reason)}`,
          ],
    ),
    ...(record.text === null
      ? []
      : [
          "",
          colors.bold("Prompt text"),
          printable(record.text.prompt),
          "",
          colors.bold("Answer text"),
          printable(record.text.answer),
        ]),
  ];
}

/** The model that was asked, the member that answered for it if one did, and the members that were lost. */
function modelOf({ model, report }: LogRecord): string {
  const lost = report.members.filter((member) => member.lost !== undefined).map(({ id }) => id);
  const answered = report.answeredBy === model ? model : `${model} → ${report.answeredBy}`;
  return lost.length === 0 ? answered : `${answered} without ${lost.join(", ")}`;
}

/** Text from outside may hold escape sequences that a terminal obeys: without control characters but line ends and tabs. */
function printable(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, "");
}

function minute(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 16).replace("T", " ");
}

function decimals(value: number | null): string {
  return value === null ? "–" : value.toFixed(4);
}

function percent(share: number | null): string {
  return share === null ? "–" : `${(100 * share).toFixed(0)} %`;
}

function milliseconds(value: number): string {
  return `${value.toFixed(0)} ms`;
}
