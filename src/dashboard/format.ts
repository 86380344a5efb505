const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = 86_400_000;

/** Of a number that may be missing. */
export function orDash(value: number | null | undefined, write: (value: number) => string): string {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : write(value);
}

/** `12,345`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `0.131`. */
export function three(value: number): string {
  return value.toFixed(3).replace("-", "−");
}

/** `0.13`. */
export function two(value: number): string {
  return value.toFixed(2).replace("-", "−");
}

/** `+0.021`. */
export function signed(value: number): string {
  return `${value < 0 ? "" : "+"}${three(value)}`;
}

/** `71.3 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** `212 ms`, `1.34 s`, `3 min 20 s`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** `43.1 MB`. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
  return `${(value / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** `26 Nov 2026, 06:45:10`, in UTC. */
export function moment(ms: number): string {
  const date = new Date(ms);
  return `${day(ms)} ${date.getUTCFullYear()}, ${clock(ms)}:${String(date.getUTCSeconds()).padStart(2, "0")}`;
}

/** `26 Nov, 06:45`, in UTC. */
export function shortMoment(ms: number): string {
  return `${day(ms)}, ${clock(ms)}`;
}

/** What stands on an axis of that length: a time of day, or a day. */
export function axisTime(ms: number, spanMs: number): string {
  if (spanMs <= 2 * DAY) return clock(ms);
  return spanMs > 400 * DAY
    ? `${MONTHS[new Date(ms).getUTCMonth()]} ${new Date(ms).getUTCFullYear()}`
    : day(ms);
}

function day(ms: number): string {
  const date = new Date(ms);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

function clock(ms: number): string {
  return new Date(ms).toISOString().slice(11, 16);
}
