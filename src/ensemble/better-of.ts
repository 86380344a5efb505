import type { Interval } from "../stats/proportion.ts";

export interface Criterion {
  /** Whether a difference above 0 speaks for the first. */
  readonly higherIsBetter: boolean;
  /** Of a test besides the interval, if there is one. */
  readonly p?: number;
}

/** Which of two is better: the 95 % interval of first − second has to leave out 0, and a test has to have p < 0.05. Else null. */
export function betterOf(
  { low, high }: Interval,
  { higherIsBetter, p = 0 }: Criterion,
): "first" | "second" | null {
  if ((low <= 0 && high >= 0) || p >= 0.05) return null;
  return low > 0 === higherIsBetter ? "first" : "second";
}
