import { InvalidArgumentError } from "commander";
import { z } from "zod";
import type { Clock } from "../../../src/ports/clock.ts";

const unitsMs: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
/** A day, or a moment to the minute (precision -1) or finer; each with its own calendar check. */
const isoMoment = z.union([z.iso.date(), z.iso.datetime({ precision: -1 }), z.iso.datetime()]);

/** An option's value as a time span such as 30m, 24h, 7d or 2w, in milliseconds. @throws InvalidArgumentError */
export function timeSpan(text: string): number {
  const span = spanIn(text);
  if (span !== null && span > 0) return span;
  throw new InvalidArgumentError("Expected a time span: 30m, 24h, 7d, 2w.");
}

/** An option's value, so long ago or a day or moment in UTC, in milliseconds since the Unix epoch. @throws InvalidArgumentError */
export function moment(text: string, clock: Clock): number {
  const span = spanIn(text);
  if (span !== null) return Math.max(0, clock.now() - span);
  if (isoMoment.safeParse(text).success) return Date.parse(text);
  throw new InvalidArgumentError(
    "Expected a time ago (30m, 24h, 7d, 2w) or a UTC date (2026-01-31 or 2026-01-31T08:00Z).",
  );
}

function spanIn(text: string): number | null {
  const [, count, unit] = /^(\d{1,6})([mhdw])$/.exec(text) ?? [];
  return count === undefined || unit === undefined ? null : Number(count) * (unitsMs[unit] ?? 0);
}
