import type { Clock } from "../ports/clock.ts";

/** Adds up the time that awaited work takes. */
export interface Stopwatch {
  readonly elapsedMs: number;
  time<T>(work: () => Promise<T>): Promise<T>;
}

export function createStopwatch(clock: Clock): Stopwatch {
  let elapsedMs = 0;
  return {
    get elapsedMs() {
      return elapsedMs;
    },
    async time(work) {
      const start = clock.monotonic();
      try {
        return await work();
      } finally {
        elapsedMs += clock.monotonic() - start;
      }
    },
  };
}
