import { quantile } from "../../src/stats/bootstrap.ts";
import type { Load, Row, Samples } from "./suite.ts";

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** Median and range; NaN where there are no values. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  return {
    median: quantile(sorted, 0.5),
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    count: sorted.length,
  };
}

/**
 * Ours ÷ theirs. Both were measured once in every round, so the ratio is taken round by round, which cancels what the
 * machine did meanwhile; the medians are divided only where the rounds do not pair up.
 */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Spread {
  if (ours.length === theirs.length) {
    return spreadOf(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)));
  }
  const ratio = spreadOf(ours).median / spreadOf(theirs).median;
  return { median: ratio, min: ratio, max: ratio, count: 1 };
}

/** Above this others had a noticeable part of the machine, cores. */
const BUSY_CORES = 0.1;
const BUSY_STEAL = 0.01;

export function isBusy({ othersCores, steal }: Load): boolean {
  return (othersCores ?? 0) > BUSY_CORES || (steal ?? 0) > BUSY_STEAL;
}

/** How many values were measured while others used the machine, and how much of it at most. */
export interface Disturbance {
  readonly values: number;
  readonly disturbed: number;
  readonly mostCores: number;
  readonly mostSteal: number;
  /** Whether the system told at all. */
  readonly known: boolean;
}

export function disturbanceOf(rows: readonly Row[]): Disturbance {
  const loads = rows.flatMap(({ samples }) => samples.flatMap((sample: Samples) => sample.loads));
  return {
    values: loads.length,
    disturbed: loads.filter(isBusy).length,
    mostCores: Math.max(0, ...loads.map(({ othersCores }) => othersCores ?? 0)),
    mostSteal: Math.max(0, ...loads.map(({ steal }) => steal ?? 0)),
    known: loads.some(({ othersCores }) => othersCores !== null),
  };
}

/** The median of one contender's samples of `what`. @throws Error when the rows have none */
export function medianOf(rows: readonly Row[], what: string, contender: string): number {
  return spreadOf(valuesOf(rows, what, contender)).median;
}

/** One contender's values of `what`, by round. @throws Error when the rows have none */
export function valuesOf(rows: readonly Row[], what: string, contender: string): readonly number[] {
  const row = rows.find((candidate) => candidate.what === what);
  const samples = row?.samples.find((candidate) => candidate.contender === contender);
  if (samples === undefined) throw new Error(`bench: nothing was measured of ${contender}: ${what}`);
  return samples.values;
}
