import type { Alert } from "../ports/observations.ts";
import type { SettledSignal } from "../ports/telemetry.ts";
import type { Signal, SignalName, SignalValue } from "./signals.ts";
import { createSignalWatch, type SignalState } from "./signal-watch.ts";

export interface DriftOptions {
  readonly signals: readonly Signal[];
  /** N: while nothing changes, an alert of any signal comes no more often than once in N answers. */
  readonly falseAlarmEvery: number;
  /** Answers that a signal's reference is learned from. */
  readonly referenceLength: number;
  /** Changes of P(x > r) from ½ that do not matter, in [0, ¼). */
  readonly tolerance: number;
  /** What an earlier one knew. */
  readonly state?: DriftState | undefined;
}

/** By the signal's name, and its member's after a colon. */
export type DriftState = Readonly<Record<string, SignalState>>;

export interface DriftNews {
  readonly alerts: readonly Alert[];
  readonly settled: readonly SettledSignal[];
  /** Whether the state is another one now: while all is watched and nothing moves it is not. */
  readonly learned: boolean;
}

/** All signals, each against its own reference. */
export interface Drift {
  /** @param at milliseconds since the Unix epoch. Signals that are not watched count for nothing. */
  observe(values: readonly SignalValue[], at: number): DriftNews;
  readonly state: DriftState;
}

/** Of signals of which a value is rare. */
const SHORT_REFERENCE: Partial<Record<SignalName, number>> = { calibration_error: 100, layer_similarity: 60 };

/**
 * Watches S signals at once. Each alarm is held to one in S·N of its values, and an answer brings one value of each at most,
 * so that by the union bound the chance of any alert in T answers without a change is at most T / N. What "without a
 * change" asks of the traffic: `createChangeDetector`.
 */
export function createDrift(options: DriftOptions): Drift {
  const { signals, falseAlarmEvery, referenceLength, tolerance, state = {} } = options;
  const every = signals.length * falseAlarmEvery;
  const watched = new Map(
    signals.map((signal) => {
      const key = keyOf(signal);
      const watch = createSignalWatch({
        referenceLength: Math.min(referenceLength, SHORT_REFERENCE[signal.name] ?? Infinity),
        falseAlarmEvery: every,
        tolerance,
        state: state[key],
      });
      return [key, watch] as const;
    }),
  );

  return {
    observe(values, at) {
      const alerts: Alert[] = [];
      const settled: SettledSignal[] = [];
      let learned = false;
      for (const { value, name, member } of values) {
        const watch = watched.get(keyOf({ name, member }));
        const change = watch?.observe(value) ?? null;
        learned ||= change !== null || (watch !== undefined && watch.phase !== "watching");
        if (change === null) continue;
        if (change.kind !== "moved") {
          settled.push({ signal: name, member, how: change.kind });
          continue;
        }
        const { direction, value: now, reference } = change;
        alerts.push({
          at,
          signal: name,
          member,
          direction,
          value: now,
          reference,
          falseAlarmRate: 1 / falseAlarmEvery,
        });
      }
      return { alerts, settled, learned };
    },
    get state() {
      return Object.fromEntries([...watched].map(([key, watch]) => [key, watch.state]));
    },
  };
}

function keyOf({ name, member }: Signal): string {
  return member === null ? name : `${name}:${member}`;
}
