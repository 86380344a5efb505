/** Time as an argument, so that tests decide it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds from an arbitrary start that never runs backwards: for latencies. */
  monotonic(): number;
}

/** A clock that can also be told to do something later. */
export interface Timers extends Clock {
  /** Does `task` once after so many milliseconds. Returns how to call it off. Holds no process open. */
  after(delayMs: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
