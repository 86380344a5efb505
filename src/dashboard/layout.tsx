/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import { html, raw } from "hono/html";
import type { Child, FC, PropsWithChildren } from "hono/jsx";
import type { LogSize } from "../ports/observations.ts";
import { bytes, count, moment } from "./format.ts";
import { SCRIPT, STYLE } from "./style.ts";
import { RANGES, spelledTime } from "./time-range.ts";
import { changed, FILTER_PARAMETERS, RANGE_PARAMETERS, type View } from "./view.ts";

export type Theme = "system" | "light" | "dark";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];

export const PAGES = [
  { path: "/", title: "Now" },
  { path: "/disagreement", title: "Disagreement" },
  { path: "/requests", title: "Requests" },
  { path: "/layers", title: "Layers" },
  { path: "/confidence", title: "Confidence" },
  { path: "/experiments", title: "Experiments" },
  { path: "/probes", title: "Probes" },
  { path: "/alerts", title: "Alerts" },
] as const;

/** Two circles that overlap: what the members have in common. */
const LOGO =
  '<svg aria-hidden="true" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="12" cy="16" r="10" fill="#0b62c4"/><circle cx="20" cy="16" r="10" fill="#f0883e"/><path d="M16 6.83a10 10 0 0 1 0 18.34 10 10 0 0 1 0-18.34Z" fill="#fff"/></svg>';
const ICON = `data:image/svg+xml,${encodeURIComponent(LOGO)}`;

/** Changes with what it is of, so that browsers may keep the file for as long as they like. */
const version = (text: string): string =>
  Array.from(text)
    .reduce((hash, character) => (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) >>> 0, 7)
    .toString(36);

export const ASSETS = [
  { path: "/dashboard.css", type: "text/css; charset=utf-8", text: STYLE, version: version(STYLE) },
  { path: "/dashboard.js", type: "text/javascript; charset=utf-8", text: SCRIPT, version: version(SCRIPT) },
] as const;

export interface Frame {
  readonly theme: Theme;
  /** Whether there is a session to end. */
  readonly signedIn: boolean;
  /** Where the address bar is: forms come back to it. */
  readonly here: string;
  readonly now: number;
  readonly size: LogSize | null;
}

export interface DocumentParts {
  readonly title: string;
  readonly theme: Theme;
  readonly body: Child;
}

export function document({ title, theme, body }: DocumentParts) {
  const [style, script] = ASSETS;
  return html`<!doctype html>${(
      <html lang="en" data-theme={theme === "system" ? undefined : theme}>
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <title>{title} – Concord</title>
          <link rel="icon" href={ICON} />
          <link rel="stylesheet" href={`${style.path}?v=${style.version}`} />
          <script src={`${script.path}?v=${script.version}`} defer></script>
        </head>
        <body>{body}</body>
      </html>
    )}`;
}

/** Everything around a page: what there is, the colours, how large the log is. */
export const Shell: FC<PropsWithChildren<{ readonly frame: Frame; readonly path: string }>> = ({
  frame,
  path,
  children,
}) => (
  <>
    <a class="skip" href="#main">
      Skip to the page
    </a>
    <div class="shell">
      <header class="rail">
        <a class="brand" href="/">
          {raw(LOGO)}Concord
        </a>
        <nav aria-label="Pages">
          <ul>
            {PAGES.map((page) => (
              <li>
                <a
                  href={page.path}
                  aria-current={
                    path === page.path ? "page" : path.startsWith(`${page.path}/`) ? "true" : undefined
                  }
                >
                  {page.title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="foot">
          {frame.size === null ? null : (
            <p class="small faint size">
              {count(frame.size.answers)} answers
              {frame.size.bytes === null ? "" : `, ${bytes(frame.size.bytes)}`}
              <br />
              {moment(frame.now)} UTC
            </p>
          )}
          <ThemeForm frame={frame} />
          {frame.signedIn ? (
            <form method="post" action="/logout">
              <button>Sign out</button>
            </form>
          ) : null}
        </div>
      </header>
      <main id="main" tabindex={-1}>
        {children}
      </main>
    </div>
  </>
);

const ThemeForm: FC<{ readonly frame: Frame }> = ({ frame }) => (
  <form method="post" action="/theme">
    <input type="hidden" name="back" value={frame.here} />
    <fieldset class="segmented">
      <legend class="hidden">Colours</legend>
      {THEMES.map((theme) => (
        <button name="theme" value={theme} aria-pressed={theme === frame.theme ? "true" : "false"}>
          {theme === "system" ? "Auto" : theme === "light" ? "Light" : "Dark"}
        </button>
      ))}
    </fieldset>
  </form>
);

const LABELS: Readonly<Record<(typeof FILTER_PARAMETERS)[number], string>> = {
  model: "Model asked for",
  answered_by: "Answered by",
  member: "Member",
  min_divergence: "Divergence at least",
  degraded: "Member lost",
  experiment: "Experiment",
  arm: "Arm",
  min_confidence: "Confidence at least",
  max_confidence: "Confidence at most",
};

/** The time range, and on pages about answers the filter: links and one form, all state in the address. */
export const Filters: FC<{ readonly view: View; readonly filter: boolean }> = ({ view, filter }) => (
  <div class="filters">
    <nav class="ranges" aria-label="Time range">
      {RANGES.map(({ name, title }) => (
        <a
          href={changed(view, { range: name, from: undefined, to: undefined })}
          aria-current={view.rangeName === name ? "true" : undefined}
        >
          {title}
        </a>
      ))}
    </nav>
    {filter ? <ActiveFilters view={view} /> : null}
    <details>
      <summary>{filter ? "Filter, or other times" : "Other times"}</summary>
      <form method="get" class="filter fields" action={view.path}>
        {Object.entries(view.parameters).map(([name, value]) =>
          isField(name, filter) || name === "cursor" || name === "at" || name === "range" ? null : (
            <input type="hidden" name={name} value={value} />
          ),
        )}
        <Field
          name="from"
          title="From (UTC)"
          value={view.parameters["from"] ?? spelledTime(view.range.from)}
          type="datetime-local"
        />
        <Field
          name="to"
          title="To (UTC)"
          value={view.parameters["to"] ?? spelledTime(view.range.to)}
          type="datetime-local"
        />
        {filter
          ? FILTER_PARAMETERS.map((name) => <FilterField name={name} value={view.parameters[name]} />)
          : null}
        <button class="primary">Show</button>
      </form>
    </details>
    {view.rangeName === null ? (
      <p class="small faint">
        {moment(view.range.from)} to {moment(view.range.to)} UTC
      </p>
    ) : null}
  </div>
);

const FilterField: FC<{
  readonly name: (typeof FILTER_PARAMETERS)[number];
  readonly value: string | undefined;
}> = ({ name, value }) => {
  if (name === "degraded") {
    return (
      <label>
        {LABELS[name]}
        <select name={name}>
          {[
            ["", "either"],
            ["true", "yes"],
            ["false", "no"],
          ].map(([option, text]) => (
            <option value={option} selected={option === (value ?? "")}>
              {text}
            </option>
          ))}
        </select>
      </label>
    );
  }
  const numeric = name.startsWith("min_") || name.startsWith("max_");
  return <Field name={name} title={LABELS[name]} value={value ?? ""} type={numeric ? "number" : "text"} />;
};

const Field: FC<{
  readonly name: string;
  readonly title: string;
  readonly value: string;
  readonly type: string;
}> = ({ name, title, value, type }) => (
  <label>
    {title}
    <input
      type={type}
      name={name}
      value={value}
      {...(type === "number"
        ? { min: "0", step: "any", ...(name.endsWith("confidence") ? { max: "1" } : {}) }
        : {})}
    />
  </label>
);

const ActiveFilters: FC<{ readonly view: View }> = ({ view }) => {
  const active = FILTER_PARAMETERS.filter((name) => view.parameters[name] !== undefined);
  if (active.length === 0) return null;
  return (
    <ul class="active" aria-label="Filter in force">
      {active.map((name) => (
        <li>
          <a href={changed(view, { [name]: undefined })}>
            {LABELS[name]}: {view.parameters[name]}
            <span aria-hidden="true">×</span>
            <span class="hidden">, leave it out</span>
          </a>
        </li>
      ))}
    </ul>
  );
};

function isField(name: string, filter: boolean): boolean {
  const names: readonly string[] = filter ? [...RANGE_PARAMETERS, ...FILTER_PARAMETERS] : RANGE_PARAMETERS;
  return names.includes(name);
}
