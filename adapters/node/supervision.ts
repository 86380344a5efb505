import type { Supervision } from "../../src/ensemble/supervisor.ts";
import { systemClock, type Timers } from "../../src/ports/clock.ts";
import type { Health } from "../../src/ports/health.ts";

/** What may be configured of how members are supervised. */
export interface SupervisionChoices {
  /** The longest that a member may compute without a sign of life, milliseconds; absent where work may take what it takes. */
  readonly memberTimeoutMs?: number | undefined;
  /** Told of each change. */
  readonly onHealth?: ((health: Health) => void) | undefined;
  /** Told how many questions are open, whenever their number changes. */
  readonly onQuestions?: ((id: string, open: number) => void) | undefined;
}

/** This machine's time. */
export const systemTimers: Timers = {
  ...systemClock,
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

/** Supervision by this machine's time and chance. */
export function superviseBy(choices: SupervisionChoices): Supervision {
  const { memberTimeoutMs: timeoutMs = Infinity, onHealth: onChange, onQuestions } = choices;
  return { timers: systemTimers, random: Math.random, timeoutMs, onChange, onQuestions };
}
