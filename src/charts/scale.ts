/** What an axis spans, and the distance of its ticks. */
export interface AxisRange {
  readonly low: number;
  readonly high: number;
  readonly step: number;
}

/** The smallest of 1, 2, 5, 10, 20, … times a power of ten that is at least `least`, which is above 0. */
export function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10);
}

/** The multiples of the step within the range. */
export function ticksOf({ low, high, step }: AxisRange): number[] {
  const first = Math.ceil(low / step);
  const last = Math.floor(high / step);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** Decimals that tell two ticks apart. */
export function tickDecimals({ step }: AxisRange): number {
  return Math.max(0, -Math.floor(Math.log10(step)));
}

/** Values nearer to each other, relative to them, or to 0 are the same on a page. */
const LEAST_SPAN = 1e-9;

/** An axis around the values with about so many ticks, from 0 where they are not below it; from 0 to 1 for no values. */
export function axisOf(values: readonly number[], ticks: number, fromZero: boolean): AxisRange {
  const most = values.reduce((a, b) => Math.max(a, b), fromZero ? 0 : -Infinity);
  const least = values.reduce((a, b) => Math.min(a, b), fromZero ? 0 : Infinity);
  if (!(most - least > LEAST_SPAN * Math.max(Math.abs(most), Math.abs(least), LEAST_SPAN))) {
    if (!(Math.abs(most) > LEAST_SPAN && Number.isFinite(most))) return { low: 0, high: 1, step: 0.5 };
    const room = Math.abs(most) / 2;
    return between(most - room, most + room, ticks);
  }
  return between(least, most, ticks);
}

function between(least: number, most: number, ticks: number): AxisRange {
  const step = roundStep((most - least) / ticks);
  return { low: step * Math.floor(least / step), high: step * Math.ceil(most / step), step };
}

/** To a tenth: of a pixel, or of a percent of a width. */
export function tenth(value: number): number {
  return Math.round(10 * value) / 10;
}
