import { GatewayError } from "../ports/gateway-error.ts";
import type { AnswerFilter } from "../ports/observations.ts";
import { address, type Parameters } from "./address.ts";
import { namedRange, spelledRange, spelledTime, type RangeName, type ShownRange } from "./time-range.ts";

export const RANGE_PARAMETERS = ["range", "from", "to"] as const;
export const FILTER_PARAMETERS = [
  "model",
  "answered_by",
  "member",
  "min_divergence",
  "degraded",
  "experiment",
  "arm",
  "min_confidence",
  "max_confidence",
] as const;

/** What an address asks a page to show. */
export interface View {
  /** Without the query. */
  readonly path: string;
  /** All that the page was asked, as it stands in the address. */
  readonly parameters: Parameters;
  readonly range: ShownRange;
  /** Null: a range of two times. */
  readonly rangeName: string | null;
  readonly filter: AnswerFilter;
  readonly now: number;
  /** Where this site is: `http://127.0.0.1:8787`. */
  readonly origin: string;
}

export interface ViewRules {
  /** The parameters that the page knows beside `download`. */
  readonly parameters: readonly string[];
  readonly defaultRange: RangeName;
}

/** Reads a page's address. @throws GatewayError invalid_request that names the parameter at fault */
export function readView(url: URL, { parameters: known, defaultRange }: ViewRules, now: number): View {
  const given = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (name === "download" || value === "") continue;
    if (!known.includes(name)) {
      const parts = known.length === 0 ? "no parameters" : `only ${known.join(", ")}`;
      throw invalid(name, `this page knows ${parts}. Remove it`);
    }
    if (given.has(name)) throw invalid(name, "expected it once");
    given.set(name, value);
  }
  const from = given.get("from");
  const to = given.get("to");
  if ((from === undefined) !== (to === undefined)) {
    throw invalid(from === undefined ? "from" : "to", "expected both from and to, or neither");
  }
  const spelled = from !== undefined && to !== undefined;
  if (spelled && given.has("range")) throw invalid("range", "expected either a range, or from and to");
  const name = given.get("range") ?? defaultRange;
  return {
    path: url.pathname,
    parameters: Object.fromEntries(given),
    range: spelled ? spelledRange(from, to) : namedRange(name, now),
    rangeName: spelled ? null : name,
    filter: readFilter(given),
    now,
    origin: url.origin,
  };
}

/** The same page with some parameters changed; a cursor leads nowhere when anything else has changed. */
export function changed({ path, parameters }: View, changes: Parameters): string {
  return address(path, parameters, { cursor: undefined, at: undefined }, changes);
}

/** Another page about the same answers: the same range and filter. */
export function elsewhere(view: View, path: string, changes: Parameters = {}): string {
  const names: ReadonlySet<string> = new Set([...RANGE_PARAMETERS, ...FILTER_PARAMETERS]);
  const kept = Object.fromEntries(Object.entries(view.parameters).filter(([name]) => names.has(name)));
  return address(path, kept, changes);
}

/** Parameters of a range between two times. */
export function between(from: number, to: number): Parameters {
  return { range: undefined, from: spelledTime(from), to: spelledTime(to) };
}

/** One of these, or the first where nothing is asked for. @throws GatewayError invalid_request */
export function oneOf<T extends string>(view: View, param: string, allowed: readonly [T, ...T[]]): T {
  const value = view.parameters[param];
  if (value === undefined) return allowed[0];
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) {
    throw invalid(param, `expected one of ${allowed.join(", ")}, got ${quoted(value)}`);
  }
  return found;
}

/** A whole number in [low, high]. @throws GatewayError invalid_request */
export function wholeNumber(view: View, param: string, low: number, high: number): number | null {
  const value = view.parameters[param];
  if (value === undefined) return null;
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= low && number <= high) return number;
  throw invalid(param, `expected a whole number from ${low} to ${high}, got ${quoted(value)}`);
}

function readFilter(given: ReadonlyMap<string, string>): AnswerFilter {
  return {
    model: given.get("model"),
    answeredBy: given.get("answered_by"),
    member: given.get("member"),
    minDivergence: decimal(given, "min_divergence", Infinity),
    degraded: truth(given, "degraded"),
    experiment: given.get("experiment"),
    arm: given.get("arm"),
    minConfidence: decimal(given, "min_confidence", 1),
    maxConfidence: decimal(given, "max_confidence", 1),
  };
}

function decimal(given: ReadonlyMap<string, string>, param: string, most: number): number | undefined {
  const text = given.get(param);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d*\.?\d+$/.test(text) && value <= most) return value;
  const expected = most === Infinity ? "a number of at least 0" : `a number from 0 to ${most}`;
  throw invalid(param, `expected ${expected}, got ${quoted(text)}`);
}

function truth(given: ReadonlyMap<string, string>, param: string): boolean | undefined {
  const text = given.get(param);
  if (text === undefined) return undefined;
  if (text === "true" || text === "false") return text === "true";
  throw invalid(param, `expected true or false, got ${quoted(text)}`);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}

function invalid(param: string, message: string): GatewayError {
  return new GatewayError("invalid_request", `${param.slice(0, 60)}: ${message}.`, { param });
}
