/** Work that nobody waits for: so many at once, so many more in waiting, and no more. */
export interface ShadowQueue {
  /** Takes the work, or refuses it because the queue is full or closed. Returns at once in any case. */
  add(shadow: Shadow): boolean;
  /**
   * Takes no more, and waits for what was taken. Once `signal` aborts, what waits is dropped, and what runs is told by the
   * signal that it was given.
   */
  drain(signal: AbortSignal): Promise<void>;
}

export interface Shadow {
  /** Never rejects. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** In the place of `run`, when it is dropped after it was taken. Never rejects. */
  readonly drop: () => Promise<void>;
}

export function createShadowQueue({
  concurrency,
  capacity,
}: {
  readonly concurrency: number;
  readonly capacity: number;
}): ShadowQueue {
  const waiting: Shadow[] = [];
  const running = new Set<Promise<void>>();
  const stopped = new AbortController();
  let open = true;

  function next(): void {
    const shadow = running.size < concurrency ? waiting.shift() : undefined;
    if (shadow === undefined) return;
    const work = (stopped.signal.aborted ? shadow.drop() : shadow.run(stopped.signal)).finally(() => {
      running.delete(work);
      next();
    });
    running.add(work);
  }

  return {
    add(shadow) {
      if (!open || waiting.length >= capacity + Math.max(concurrency - running.size, 0)) return false;
      waiting.push(shadow);
      // Not now: whoever adds has an answer to send first.
      queueMicrotask(next);
      return true;
    },
    async drain(signal) {
      open = false;
      if (signal.aborted) stopped.abort();
      else signal.addEventListener("abort", () => stopped.abort(), { once: true });
      next();
      while (running.size > 0) await Promise.all(running);
    },
  };
}
