import { GatewayError } from "../ports/gateway-error.ts";
import type { TimeRange } from "../ports/observations.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** What a range is called in an address, and how long it is. */
export const RANGES = [
  { name: "1h", title: "1 hour", spanMs: HOUR },
  { name: "6h", title: "6 hours", spanMs: 6 * HOUR },
  { name: "24h", title: "24 hours", spanMs: DAY },
  { name: "7d", title: "7 days", spanMs: 7 * DAY },
  { name: "30d", title: "30 days", spanMs: 30 * DAY },
  { name: "90d", title: "90 days", spanMs: 90 * DAY },
  { name: "1y", title: "1 year", spanMs: 365 * DAY },
] as const;

export type RangeName = (typeof RANGES)[number]["name"];

/** Widths of buckets that a person can read an axis of. */
const WIDTHS = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR),
  ...[1, 2, 7, 14, 28, 91, 182, 364].map((days) => days * DAY),
];
const MOST_BUCKETS = 96;
/** Ten years. */
const LONGEST_MS = 3653 * DAY;

export interface ShownRange extends TimeRange {
  /** Of a bucket. */
  readonly widthMs: number;
}

/** The range of a name that ends with the bucket which `now` is in. */
export function namedRange(name: string, now: number): ShownRange {
  const range = RANGES.find((candidate) => candidate.name === name);
  if (range === undefined) {
    const known = RANGES.map((candidate) => candidate.name).join(", ");
    throw invalid("range", `expected one of ${known}, got ${JSON.stringify(name)}`);
  }
  const widthMs = widthOf(range.spanMs);
  const to = widthMs * Math.floor(now / widthMs) + widthMs;
  return { from: to - range.spanMs, to, widthMs };
}

/** A range between two times as an address has them: ISO 8601, in UTC where no zone is named. */
export function spelledRange(from: string, to: string): ShownRange {
  const range = { from: timeOf("from", from), to: timeOf("to", to) };
  const span = range.to - range.from;
  if (span < MINUTE) throw invalid("to", `expected a time at least a minute after from, ${from}; got ${to}`);
  if (span > LONGEST_MS) throw invalid("from", `expected at most ten years before to, ${to}; got ${from}`);
  return { ...range, widthMs: widthOf(span) };
}

/** A width with which all of the range is one bucket: buckets begin at multiples of it, and the first is at 0. */
export function wholeWidth({ to }: TimeRange): number {
  return DAY * (Math.floor(to / DAY) + 1);
}

/** Every bucket of the range: where it begins and ends within it. */
export function buckets({ from, to, widthMs }: ShownRange): TimeRange[] {
  const first = Math.floor(from / widthMs);
  const last = Math.ceil(to / widthMs);
  return Array.from({ length: last - first }, (_, i) => ({
    from: Math.max(from, (first + i) * widthMs),
    to: Math.min(to, (first + i + 1) * widthMs),
  }));
}

/** `2026-11-26T06:00`: what an address and a field for times have. */
export function spelledTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16);
}

function widthOf(spanMs: number): number {
  return WIDTHS.find((width) => spanMs / width <= MOST_BUCKETS) ?? LONGEST_MS;
}

function timeOf(param: string, text: string): number {
  const ms = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?$/.test(text)
    ? Date.parse(/T.*(?:Z|[+-]\d\d:\d\d)$/.test(text) || text.length === 10 ? text : `${text}Z`)
    : NaN;
  if (!(ms >= 0)) {
    throw invalid(
      param,
      `expected a time such as 2026-11-26T06:00, got ${JSON.stringify(text.slice(0, 60))}`,
    );
  }
  return MINUTE * Math.floor(ms / MINUTE);
}

function invalid(param: string, message: string): GatewayError {
  return new GatewayError("invalid_request", `${param}: ${message}.`, { param });
}
