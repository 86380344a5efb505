/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import type { LogRecord } from "../ports/agreement-log.ts";
import { dataset, type Column, type Dataset } from "./dataset.ts";
import { count, duration, orDash, percent, three } from "./format.ts";
import { Bar, Time } from "./pieces.tsx";

/** The most that members can be apart, nats: ln m; the bar of a divergence is a share of it. */
export function mostDivergence(members: number): number {
  return Math.log(Math.max(2, members));
}

/** What the log has of answers, one a row. */
export function answersData(name: string, title: string, answers: readonly LogRecord[]): Dataset {
  return dataset(name, title, answers, COLUMNS);
}

export function answerHref({ requestId }: Pick<LogRecord, "requestId">): string {
  return `/requests/${encodeURIComponent(requestId)}`;
}

const COLUMNS: readonly Column<LogRecord>[] = [
  {
    name: "created_at",
    title: "When (UTC)",
    value: ({ createdAt }) => new Date(createdAt).toISOString(),
    cell: (record) => <Time at={record.createdAt} />,
  },
  {
    name: "request_id",
    title: "Request",
    value: ({ requestId }) => requestId,
    cell: (record) => (
      <a href={answerHref(record)} class="mono" aria-label={`Request ${record.requestId}`}>
        {record.requestId.length > 22 ? `${record.requestId.slice(0, 21)}…` : record.requestId}
      </a>
    ),
  },
  {
    name: "prompt",
    title: "Prompt",
    value: ({ text }) => text?.prompt ?? null,
    cell: ({ text }) => (text === null ? <span class="faint">not kept</span> : excerpt(text.prompt)),
  },
  {
    name: "js_divergence",
    title: "Divergence, nats",
    numeric: true,
    value: ({ report }) => report.agreement.jsDivergence,
    cell: ({ report: { agreement, members } }) =>
      agreement.jsDivergence === null ? (
        "–"
      ) : (
        <>
          {three(agreement.jsDivergence)}
          <Bar share={agreement.jsDivergence / mostDivergence(members.length)} />
        </>
      ),
  },
  {
    name: "top1_agreement",
    title: "Same first token",
    numeric: true,
    value: ({ report }) => report.agreement.top1Agreement,
    cell: ({ report }) => orDash(report.agreement.top1Agreement, percent),
  },
  {
    name: "state_distance",
    title: "State distance",
    cell: null,
    value: ({ report }) => report.agreement.stateDistance,
  },
  {
    name: "confidence",
    title: "Confidence",
    numeric: true,
    value: ({ confidence }) => confidence?.value ?? null,
    cell: ({ confidence }) => orDash(confidence?.value, percent),
  },
  {
    name: "completion_tokens",
    title: "Tokens",
    numeric: true,
    value: ({ completionTokens }) => completionTokens,
    cell: ({ completionTokens }) => count(completionTokens),
  },
  { name: "prompt_tokens", title: "Prompt tokens", cell: null, value: ({ promptTokens }) => promptTokens },
  {
    name: "latency_ms",
    title: "Latency",
    numeric: true,
    value: ({ latencyMs }) => latencyMs,
    cell: ({ latencyMs }) => duration(latencyMs),
  },
  { name: "first_token_ms", title: "First token", cell: null, value: ({ firstTokenMs }) => firstTokenMs },
  { name: "model", title: "Model", cell: null, value: ({ model }) => model },
  {
    name: "answered_by",
    title: "Answered by",
    value: ({ report }) => report.answeredBy,
    cell: (record) => (
      <>
        {record.report.answeredBy}
        <Remarks record={record} />
      </>
    ),
  },
  {
    name: "lost_members",
    title: "Lost",
    cell: null,
    value: ({ report }) => lost(report.members).join(" ") || null,
  },
  {
    name: "experiment",
    title: "Experiment",
    cell: null,
    value: ({ experiment }) => experiment?.name ?? null,
  },
  { name: "arm", title: "Arm", cell: null, value: ({ experiment }) => experiment?.arm ?? null },
];

/** What is out of the ordinary about an answer. */
export function Remarks({ record: { report, experiment } }: { readonly record: LogRecord }) {
  const gone = lost(report.members);
  return (
    <>
      {gone.length === 0 ? null : (
        <>
          {" "}
          <span class="badge bad">lost {gone.join(", ")}</span>
        </>
      )}
      {report.notFused === undefined ? null : (
        <>
          {" "}
          <span class="badge" title={report.notFused}>
            not fused
          </span>
        </>
      )}
      {experiment === null ? null : (
        <>
          {" "}
          <span class="badge">
            {experiment.name}: {experiment.arm}
          </span>
        </>
      )}
    </>
  );
}

function lost(members: LogRecord["report"]["members"]): string[] {
  return members.filter((member) => member.lost !== undefined).map(({ id }) => id);
}

function excerpt(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > 48 ? `${line.slice(0, 47)}…` : line;
}
