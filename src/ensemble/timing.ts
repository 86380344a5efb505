import type { Clock } from "../ports/clock.ts";

/** Adds up the time that work takes, and keeps when it was done. */
export interface Stopwatch {
  readonly elapsedMs: number;
  /** Null before any work. */
  readonly timed: Timed | null;
  time<T>(work: () => Promise<T>): Promise<T>;
  /** The same for work that waits for nothing. */
  timeNow<T>(work: () => T): T;
}

/** When work was done, by the monotonic clock, milliseconds. */
export interface Timed {
  /** How many times. */
  readonly count: number;
  /** When it was first begun. */
  readonly startMs: number;
  /** When that first time was over. */
  readonly firstEndMs: number;
  /** When the last time was over. */
  readonly endMs: number;
}

export function createStopwatch(clock: Clock): Stopwatch {
  let elapsedMs = 0;
  let timed: Timed | null = null;
  const add = (start: number): void => {
    const endMs = clock.monotonic();
    elapsedMs += endMs - start;
    const { count, startMs, firstEndMs } = timed ?? { count: 0, startMs: start, firstEndMs: endMs };
    timed = { count: count + 1, startMs, firstEndMs, endMs };
  };
  return {
    get elapsedMs() {
      return elapsedMs;
    },
    get timed() {
      return timed;
    },
    async time(work) {
      const start = clock.monotonic();
      try {
        return await work();
      } finally {
        add(start);
      }
    },
    timeNow(work) {
      const start = clock.monotonic();
      try {
        return work();
      } finally {
        add(start);
      }
    },
  };
}

/** For work whose time nobody asks for. */
export const unwatched: Stopwatch = {
  elapsedMs: 0,
  timed: null,
  time: (work) => work(),
  timeNow: (work) => work(),
};
