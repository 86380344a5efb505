/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import type { Child } from "hono/jsx";
import type { LineChart } from "../charts/line-chart.ts";
import type { LogRecord } from "../ports/agreement-log.ts";
import type { AnswerTrace } from "../ports/answer-trace.ts";
import type { MemberReport } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import { mostDivergence, Remarks } from "./answers-table.tsx";
import { dataset, type Dataset } from "./dataset.ts";
import { count, duration, orDash, percent, three, two } from "./format.ts";
import type { Page } from "./page.ts";
import { Bar, Card, Chart, DataTable, Downloads, Time } from "./pieces.tsx";
import { DIVERGENCE_LEVELS } from "./style.ts";
import { changed, wholeNumber, type View } from "./view.ts";

/** Tokens on one page. */
const PAGE = 256;
/** From which share of the largest possible divergence on a token has the next heavier ground. */
const LEVEL_FROM = [0, 0.02, 0.08, 0.2, 0.4, 0.65];

/** One answer, token by token. */
export const requestPage: Page = {
  path: "/requests/:name",
  parameters: ["at"],
  defaultRange: "24h",
  controls: "none",
  async make({ view, sources, name }) {
    const found = await sources.observations.answer(name);
    if (found === null) {
      throw new GatewayError(
        "not_found",
        `The log has no request ${JSON.stringify(name.slice(0, 80))}. It may be older than what is kept; the page Requests lists those there are.`,
      );
    }
    const { record, trace } = found;
    const members = memberData(record.report.members);
    const tokens = trace === null ? null : tokenData(trace);
    const first = wholeNumber(view, "at", 0, Math.max(0, (trace?.positions.length ?? 0) - 1)) ?? 0;
    return {
      title: "Request",
      lead: <span class="mono">{record.requestId}</span>,
      data: tokens === null ? [members] : [members, tokens],
      body: (
        <>
          <Card title="The answer">
            <Facts record={record} />
          </Card>
          <Texts record={record} />
          {trace === null || tokens === null ? (
            <Card title="Token by token">
              <p>
                Nothing is known of the single tokens: the answer has none, or is from before they were
                logged.
              </p>
            </Card>
          ) : (
            <Tokens trace={trace} tokens={tokens} view={view} first={PAGE * Math.floor(first / PAGE)} />
          )}
          <Card title="Members">
            <DataTable data={members} view={view} wraps={6} />
          </Card>
        </>
      ),
    };
  },
};

function Facts({ record }: { readonly record: LogRecord }) {
  const { report } = record;
  const facts: readonly (readonly [string, Child])[] = [
    ["When (UTC)", <Time at={record.createdAt} exact />],
    [
      "Answered by",
      <>
        {report.answeredBy}
        <Remarks record={record} />
      </>,
    ],
    ["Model asked for", record.model],
    ["Divergence, mean", `${orDash(report.agreement.jsDivergence, three)} nats`],
    ["Same first token", orDash(report.agreement.top1Agreement, percent)],
    ["State distance", orDash(report.agreement.stateDistance, three)],
    ["Confidence", record.confidence === null ? "none told" : percent(record.confidence.value)],
    ["Latency", `${duration(record.latencyMs)}, first token ${orDash(record.firstTokenMs, duration)}`],
    ["Tokens", `${count(record.promptTokens)} read, ${count(record.completionTokens)} made`],
    ["Ended by", record.finishReason === "stop" ? "its end" : "the limit of tokens"],
  ];
  return (
    <>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {report.notFused === undefined ? null : <p class="small faint">Not fused: {report.notFused}.</p>}
    </>
  );
}

function Texts({ record: { text } }: { readonly record: LogRecord }) {
  if (text === null) {
    return (
      <div class="note">
        <p>
          Prompt and answer are not kept, so only numbers are shown. Start with{" "}
          <code>concord serve --keep-text</code> to keep the text of answers from then on.
        </p>
      </div>
    );
  }
  return (
    <div class="grid2">
      <Card title="Prompt">
        <pre class="text" tabindex={0}>
          {text.prompt}
        </pre>
      </Card>
      <Card title="Answer">
        <pre class="text" tabindex={0}>
          {text.answer}
        </pre>
      </Card>
    </div>
  );
}

interface TokensProps {
  readonly trace: AnswerTrace;
  readonly tokens: Dataset;
  readonly view: View;
  /** Of those shown. */
  readonly first: number;
}

function Tokens({ trace, tokens, view, first }: TokensProps) {
  const { members, positions } = trace;
  const most = mostDivergence(members.length);
  const shown = positions.slice(first, first + PAGE).map((position, i) => ({ position, at: first + i }));
  return (
    <>
      <Card title="Token by token">
        <ol class="strip" start={first + 1}>
          {shown.map(({ position, at }) => (
            <li>
              <a class={`tok l${levelOf(position.divergence, most)}`} href={`#t${at}`}>
                {tokenText(trace, at)}
                <small>{orDash(position.divergence, two)}</small>
              </a>
            </li>
          ))}
        </ol>
        <p class="levels">
          Under each token its divergence in nats; its ground from
          {Array.from({ length: DIVERGENCE_LEVELS }, (_, i) => (
            <span class={`l${i}`}>{two((LEVEL_FROM[i] ?? 0) * most)}</span>
          ))}
          to {two(most)}, the most.
        </p>
        <Pager view={view} first={first} all={positions.length} />
      </Card>
      <Card title="Divergence and weights">
        <Chart
          chart={positionsChart(trace)}
          data={tokens}
          view={view}
          unit="by token: divergence in nats, and each member's weight"
        />
      </Card>
      <Card title="What each member would have said">
        {trace.tokens === null ? (
          <p class="faint">The members' choices are text, and text is not kept.</p>
        ) : (
          <p class="small faint">
            Up to five choices of each, with their probability; ✓ is the token that was taken.
          </p>
        )}
        <ol class="tokens" start={first + 1}>
          {shown.map(({ at }) => (
            <TokenLine trace={trace} at={at} most={most} />
          ))}
        </ol>
        <Pager view={view} first={first} all={positions.length} />
        <Downloads data={tokens} view={view} />
      </Card>
    </>
  );
}

function Pager({ view, first, all }: { readonly view: View; readonly first: number; readonly all: number }) {
  if (all <= PAGE) return null;
  return (
    <p class="pager">
      <span>
        Tokens {count(first + 1)} to {count(Math.min(all, first + PAGE))} of {count(all)}
      </span>
      {first === 0 ? null : <a href={changed(view, { at: `${first - PAGE}` })}>Before</a>}
      {first + PAGE >= all ? null : <a href={changed(view, { at: `${first + PAGE}` })}>After</a>}
    </p>
  );
}

function TokenLine({
  trace,
  at,
  most,
}: {
  readonly trace: AnswerTrace;
  readonly at: number;
  readonly most: number;
}) {
  const position = trace.positions[at];
  const token = trace.tokens?.[at];
  if (position === undefined) return null;
  return (
    <li id={`t${at}`}>
      <div class="what">
        <span class="faint small">{at + 1}</span>
        <span class={`tok l${levelOf(position.divergence, most)}`}>{tokenText(trace, at)}</span>
        <span class="small">
          p {two(Math.exp(position.logprob))}, divergence {orDash(position.divergence, two)}
        </span>
      </div>
      {trace.members.map((id, m) => (
        <div>
          <h3>
            {id} <span class="faint">weight {orDash(position.weights[m], two)}</span>
          </h3>
          {token === undefined ? null : <Choices choices={token.choices[m] ?? []} taken={token.text} />}
        </div>
      ))}
    </li>
  );
}

function Choices({
  choices,
  taken,
}: {
  readonly choices: NonNullable<AnswerTrace["tokens"]>[number]["choices"][number];
  readonly taken: string;
}) {
  if (choices.length === 0) return <p class="small faint">abstained</p>;
  return (
    <ul class="choices">
      {choices.map(({ text, probability }) => (
        <li class={text === taken ? "choice taken" : "choice"}>
          <span class="word">
            {visible(text)}
            {text === taken ? (
              <>
                {" "}
                <span aria-hidden="true">✓</span>
                <span class="hidden">, taken</span>
              </>
            ) : null}
          </span>
          <Bar share={probability} />
          <span class="num">{two(probability)}</span>
        </li>
      ))}
    </ul>
  );
}

function positionsChart({ members, positions }: AnswerTrace): LineChart {
  const all = positions.length;
  const step = Math.max(1, Math.ceil(all / 6));
  return {
    label: `Divergence, and weights of ${members.join(", ")}, by token`,
    height: 180,
    x: { from: -0.5, to: all - 0.5 },
    xTicks: Array.from({ length: Math.ceil(all / step) }, (_, i) => ({
      at: i * step,
      text: `${i * step + 1}`,
    })),
    yFromZero: true,
    yText: (value, decimals) => value.toFixed(decimals),
    series: [
      { name: "divergence", points: positions.map(({ divergence }, x) => ({ x, y: divergence })) },
      ...members.map((id, m) => ({
        name: `weight of ${id}`,
        points: positions.map(({ weights }, x) => ({ x, y: weights[m] ?? null })),
      })),
    ],
    slots: positions.map(({ divergence }, i) => ({
      from: i - 0.5,
      to: i + 0.5,
      title: `token ${i + 1}: divergence ${orDash(divergence, three)}`,
      href: `#t${i}`,
    })),
  };
}

/** One row per token and member. */
function tokenData({ members, positions, tokens }: AnswerTrace): Dataset {
  const rows = positions.flatMap((position, at) =>
    members.map((member, m) => ({ at, position, member, m, token: tokens?.[at] ?? null })),
  );
  return dataset("tokens", "Tokens and members", rows, [
    { name: "position", title: "Token", numeric: true, value: ({ at }) => at + 1 },
    {
      name: "token",
      title: "Text",
      value: ({ token }) => token?.text ?? null,
      cell: ({ token }) => (token === null ? "–" : visible(token.text)),
    },
    {
      name: "js_divergence",
      title: "Divergence",
      numeric: true,
      value: ({ position }) => position.divergence,
      cell: ({ position }) => orDash(position.divergence, three),
    },
    {
      name: "logprob",
      title: "ln p",
      numeric: true,
      value: ({ position }) => position.logprob,
      cell: ({ position }) => two(position.logprob),
    },
    { name: "member", title: "Member", value: ({ member }) => member },
    {
      name: "weight",
      title: "Weight",
      numeric: true,
      value: ({ position, m }) => position.weights[m] ?? null,
      cell: ({ position, m }) => orDash(position.weights[m], two),
    },
    {
      name: "choices",
      title: "Choices",
      cell: null,
      value: ({ token, m }) => (token === null ? null : JSON.stringify(token.choices[m] ?? [])),
    },
  ]);
}

function memberData(members: readonly MemberReport[]): Dataset {
  return dataset("members", "Members", members, [
    { name: "member", title: "Member", value: ({ id }) => id },
    {
      name: "weight",
      title: "Weight, mean",
      numeric: true,
      value: ({ weight }) => weight,
      cell: ({ weight }) => two(weight),
    },
    {
      name: "bits_per_byte",
      title: "Bits per byte",
      numeric: true,
      value: ({ bitsPerByte }) => bitsPerByte,
      cell: ({ bitsPerByte }) => orDash(bitsPerByte, three),
    },
    {
      name: "top1_agreement",
      title: "Agrees with the answer",
      numeric: true,
      value: ({ top1Agreement }) => top1Agreement,
      cell: ({ top1Agreement }) => orDash(top1Agreement, percent),
    },
    {
      name: "entropy",
      title: "Entropy, nats",
      numeric: true,
      value: ({ entropy }) => entropy,
      cell: ({ entropy }) => orDash(entropy, two),
    },
    {
      name: "latency_ms",
      title: "Computed for",
      numeric: true,
      value: ({ latencyMs }) => latencyMs,
      cell: ({ latencyMs }) => duration(latencyMs),
    },
    {
      name: "remarks",
      title: "Remarks",
      value: ({ abstained, lost }) =>
        [
          abstained === undefined
            ? null
            : `abstained at ${abstained.positions} positions: ${abstained.reason}`,
          lost === undefined ? null : `lost after ${lost.position} tokens: ${lost.reason}`,
        ]
          .filter((remark) => remark !== null)
          .join("; "),
    },
  ]);
}

function levelOf(divergence: number | null, most: number): number {
  return LEVEL_FROM.findLastIndex((from) => (divergence ?? 0) >= from * most);
}

function tokenText({ tokens }: AnswerTrace, at: number): string {
  const text = tokens?.[at]?.text;
  return text === undefined ? `${at + 1}` : visible(text);
}

/** White space that would not be seen, as signs. */
function visible(text: string): string {
  return text === "" ? "∅" : text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(/^ | $/g, "␣");
}
