import type { Timers } from "../src/ports/clock.ts";

export interface ManualTimers extends Timers {
  /** Lets so many milliseconds pass, with what is due in them in order. */
  advance(milliseconds: number): void;
  /** How many tasks wait. */
  readonly waiting: number;
}

/** Time that passes when a test says so. */
export function createManualTimers(epochMs = 1_750_000_000_000): ManualTimers {
  let elapsedMs = 0;
  let tasks: { readonly at: number; readonly run: () => void }[] = [];
  return {
    now: () => epochMs + elapsedMs,
    monotonic: () => elapsedMs,
    after(delayMs, run) {
      const task = { at: elapsedMs + delayMs, run };
      tasks.push(task);
      return () => {
        tasks = tasks.filter((other) => other !== task);
      };
    },
    advance(milliseconds) {
      const end = elapsedMs + milliseconds;
      for (;;) {
        const [next] = tasks.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        tasks = tasks.filter((other) => other !== next);
        elapsedMs = next.at;
        next.run();
      }
      elapsedMs = end;
    },
    get waiting() {
      return tasks.length;
    },
  };
}

/** A turn of the event loop, after which what waited for one before has gone on. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}
