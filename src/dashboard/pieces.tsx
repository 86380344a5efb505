/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import { raw } from "hono/html";
import type { Child, FC, PropsWithChildren } from "hono/jsx";
import { legendKey, lineChart, type LineChart } from "../charts/line-chart.ts";
import { tenth } from "../charts/scale.ts";
import type { Dataset } from "./dataset.ts";
import { axisTime, moment, shortMoment } from "./format.ts";
import type { ShownRange } from "./time-range.ts";
import { changed, type View } from "./view.ts";

/** A number that matters, with how it went. */
export const Tile: FC<{
  readonly title: string;
  readonly value: string;
  readonly about?: Child;
  readonly spark?: string;
}> = ({ title, value, about, spark }) => (
  <div class="tile">
    <dt>{title}</dt>
    <dd>
      <span class="big">{value}</span>
      {about === undefined ? null : <div class="small faint">{about}</div>}
      {spark === undefined ? null : raw(spark)}
    </dd>
  </div>
);

export const Card: FC<PropsWithChildren<{ readonly title: string; readonly id?: string }>> = ({
  title,
  id,
  children,
}) => (
  <section class="card" id={id}>
    <h2>{title}</h2>
    {children}
  </section>
);

/** A table that can be scrolled by keyboard where it is too wide, and downloaded. */
export const DataTable: FC<{
  readonly data: Dataset;
  readonly view: View;
  readonly wraps?: number | undefined;
  /** Where a page shows the same data in several places: what sets this one apart. */
  readonly label?: string | undefined;
}> = ({ data, view, wraps, label = data.title }) => (
  <>
    <div class="scroll" role="region" aria-label={label} tabindex={0}>
      <table>
        <caption class="hidden">{label}</caption>
        <thead>
          <tr>
            {data.shown.map(({ title, numeric }) => (
              <th scope="col" class={numeric ? "n" : undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {data.rows.map((_, i) => (
            <tr>
              {data.cells(i).map((cell, column) => (
                <td class={data.shown[column]?.numeric ? "n" : column === wraps ? "wrap" : undefined}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
    <Downloads data={data} view={view} />
  </>
);

export const Downloads: FC<{ readonly data: Dataset; readonly view: View }> = ({ data, view }) => (
  <p class="downloads">
    <span>
      {data.rows.length} {data.rows.length === 1 ? "row" : "rows"}
    </span>
    {(["csv", "json"] as const).map((format) => (
      <a href={changed(view, { ...kept(view), download: `${data.name}.${format}` })} download>
        {format.toUpperCase()}
        <span class="hidden">: {data.title}</span>
      </a>
    ))}
  </p>
);

/** A download is of just what is shown, its page of a list too. */
const kept = ({ parameters: { cursor, at } }: View) => ({ cursor, at });

/** A chart with its legend, and its numbers as a table to open. */
export const Chart: FC<{
  readonly chart: LineChart;
  readonly data: Dataset;
  readonly view: View;
  readonly unit: string;
  readonly wraps?: number | undefined;
}> = ({ chart, data, view, unit, wraps }) => (
  <figure>
    <p class="axis">{unit}</p>
    {raw(lineChart(chart))}
    {chart.series.length < 2 ? null : (
      <figcaption class="legend">{chart.series.map(({ name }, i) => raw(legendKey(name, i)))}</figcaption>
    )}
    <details>
      <summary>
        The numbers<span class="hidden"> of: {chart.label}</span>
      </summary>
      <DataTable data={data} view={view} wraps={wraps} label={chart.label} />
    </details>
  </figure>
);

/** About five ticks at round times. */
export function timeTicks({ from, to, widthMs }: ShownRange): { at: number; text: string }[] {
  const span = to - from;
  const step = widthMs * Math.max(1, Math.ceil(span / widthMs / 5));
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - 1 - first) / step) + 1 }, (_, i) => {
    const at = first + i * step;
    return { at, text: axisTime(at, span) };
  });
}

/** A share as a bar beside its number: decoration. */
export const Bar: FC<{ readonly share: number }> = ({ share }) =>
  raw(
    `<svg class="bar-share" aria-hidden="true" viewBox="0 0 100 6" preserveAspectRatio="none"><rect width="${tenth(100 * Math.min(1, Math.max(0, share)))}" height="6"/></svg>`,
  ) as never;

export const Time: FC<{ readonly at: number; readonly exact?: boolean }> = ({ at, exact }) => (
  <time datetime={new Date(at).toISOString()}>{exact ? moment(at) : shortMoment(at)}</time>
);

const SIGNS = {
  up: '<circle cx="6" cy="6" r="5" fill="currentColor"/>',
  starting:
    '<path d="M6 1a5 5 0 0 1 0 10Z" fill="currentColor"/><circle cx="6" cy="6" r="4.5" fill="none" stroke="currentColor"/>',
  down: '<path d="M2 2 10 10M10 2 2 10" stroke="currentColor" stroke-width="2.4"/>',
};

/** Told by its form and its word as much as by its colour. */
export const State: FC<{ readonly state: keyof typeof SIGNS }> = ({ state }) => (
  <span class={`state ${state}`}>
    {raw(`<svg aria-hidden="true" viewBox="0 0 12 12">${SIGNS[state]}</svg>`)}
    {state}
  </span>
);

export const Empty: FC<PropsWithChildren<{ readonly title: string }>> = ({ title, children }) => (
  <section class="card empty">
    <h2>{title}</h2>
    {children}
  </section>
);

/** A command to copy. */
export const Command: FC<{ readonly id: string; readonly text: string }> = ({ id, text }) => (
  <>
    <pre tabindex={0} id={id}>
      {text}
    </pre>
    <button type="button" data-copy={id} hidden>
      Copy
    </button>
  </>
);

/** What to ask first. */
export const FirstQuestion: FC<{ readonly view: View; readonly keyed: boolean }> = ({ view, keyed }) => (
  <Empty title="No answers yet">
    <p>Nothing has been asked so far. Ask something, and come back:</p>
    <Command
      id="first-question"
      text={`curl ${view.origin}/v1/chat/completions \\
  -H 'content-type: application/json'${keyed ? ` \\\n  -H "authorization: Bearer $CONCORD_API_KEY"` : ""} \\
  -d '{"model": "concord", "messages": [{"role": "user", "content": "Name three rivers in France."}]}'`}
    />
  </Empty>
);

/** Where there are answers, but none of these. */
export const NothingInRange: FC<{ readonly view: View }> = ({ view }) => (
  <Empty title="No answers fit">
    <p>
      There are none in this range that fit the filter. Take a longer range, for example{" "}
      <a href={changed(view, { range: "30d", from: undefined, to: undefined })}>30 days</a>, or{" "}
      <a href={view.path}>leave the filter out</a>.
    </p>
  </Empty>
);
