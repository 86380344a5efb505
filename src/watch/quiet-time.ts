import type { Timers } from "../ports/clock.ts";

/** Knows when nobody waits for anything, for work that nobody waits for. */
export interface QuietTime {
  /** Somebody waits from now on, until what is returned is called. */
  begin(): () => void;
  /**
   * Resolves as soon as nobody has waited for a while, with a signal that is aborted when somebody does again. Rejects with
   * the reason of `signal`.
   */
  next(signal: AbortSignal): Promise<AbortSignal>;
}

/** @param quietMs how long nobody must have waited */
export function createQuietTime(timers: Timers, quietMs: number): QuietTime {
  let waiting = 0;
  let quiet: AbortController | null = null;
  let callOff: (() => void) | null = null;
  let told: ((signal: AbortSignal) => void)[] = [];

  function settle(): void {
    callOff?.();
    callOff = timers.after(quietMs, () => {
      callOff = null;
      quiet = new AbortController();
      for (const tell of told.splice(0)) tell(quiet.signal);
    });
  }
  settle();

  return {
    begin() {
      waiting++;
      callOff?.();
      callOff = null;
      quiet?.abort();
      quiet = null;
      let over = false;
      return () => {
        if (over) return;
        over = true;
        if (--waiting === 0) settle();
      };
    },
    next(signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        if (quiet !== null) return resolve(quiet.signal);
        const giveUp = (): void => {
          told = told.filter((other) => other !== tell);
          reject(signal.reason);
        };
        const tell = (next: AbortSignal): void => {
          signal.removeEventListener("abort", giveUp);
          resolve(next);
        };
        told.push(tell);
        signal.addEventListener("abort", giveUp, { once: true });
      });
    },
  };
}
