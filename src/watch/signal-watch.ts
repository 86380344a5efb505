import { createChangeDetector, type ChangeDetector } from "../stats/change-detector.ts";
import { superiority } from "../stats/ranking.ts";

export interface SignalWatchOptions {
  /** n: values that a reference is learned from, 30 or more in whole fifths. */
  readonly referenceLength: number;
  /** N: while nothing changes, the signal is said to have moved no more often than once in N values. */
  readonly falseAlarmEvery: number;
  /** Changes of P(x > r) from ½ that do not matter, in [0, ¼). */
  readonly tolerance: number;
  /** Where an earlier one was. Absent: nothing is known yet. */
  readonly state?: SignalState | undefined;
}

/** What has to be kept to go on after a restart. */
export interface SignalState {
  /**
   * `learning`: the first values are taken as the reference. `watching`: values are held against it. `raised`: they have
   * moved away from it.
   */
  readonly phase: "learning" | "watching" | "raised";
  /** What values are held against; none while learning. */
  readonly reference: readonly number[];
  /** Values since learning began, or since they moved; none while watching. */
  readonly recent: readonly number[];
}

export type SignalChange =
  | { readonly kind: "learned" }
  | {
      readonly kind: "moved";
      readonly direction: "up" | "down";
      /** Mean of the values since they seem to have moved. */
      readonly value: number;
      /** Mean of the reference. */
      readonly reference: number;
    }
  /** Values are again as the reference is. */
  | { readonly kind: "returned" }
  /** They have stayed away for so long that they are the reference now. */
  | { readonly kind: "relearned" };

/** One signal held against a time when all was well. */
export interface SignalWatch {
  /** Takes the next value; what is no finite number counts for nothing. */
  observe(value: number): SignalChange | null;
  readonly phase: SignalState["phase"];
  readonly state: SignalState;
}

/** A signal that has moved is looked at so many times before it is taken as it is. */
const LOOKS = 5;

/**
 * Learns a reference from the first n values, then tells when values have moved away from it (see `createChangeDetector`).
 * Having told so it is silent until either a fifth of n values in a row is as the reference is, within the detector's
 * margin (`returned`), or n values have come (`relearned`: they are the reference from then on). So a signal that stays
 * elsewhere, or swings around the threshold, raises one alarm and no more until it is settled. What moves while the first
 * values are learned is not seen. Cost ln n a value; memory 3n numbers.
 * @throws RangeError when n is no multiple of 5 or below 30, or as `createChangeDetector`
 */
export function createSignalWatch(options: SignalWatchOptions): SignalWatch {
  const { referenceLength: n, falseAlarmEvery, tolerance } = options;
  if (!(n >= 30 && n % LOOKS === 0)) {
    throw new RangeError(
      `createSignalWatch: expected a reference of 30 or more values in whole fifths, got ${n}`,
    );
  }
  const detectorOf = (values: readonly number[]): ChangeDetector =>
    createChangeDetector({ reference: values, falseAlarmEvery, tolerance });
  let { phase, reference } = options.state ?? { phase: "learning" as const, reference: [] };
  let recent = [...(options.state?.recent ?? [])];
  /** The last n values while watching, to tell how far they moved. */
  let latest: number[] = [];
  let detector = reference.length > 0 ? detectorOf(reference) : null;

  function take(values: readonly number[]): void {
    reference = values;
    detector = detectorOf(values);
    watch();
  }

  function watch(): void {
    phase = "watching";
    recent = [];
    latest = [];
  }

  function hold(value: number): SignalChange | null {
    latest.push(value);
    if (latest.length > n) latest.shift();
    const alarm = detector?.observe(value) ?? null;
    if (alarm === null) return null;
    phase = "raised";
    const moved = latest.slice(-alarm.observationsSinceChange);
    return { kind: "moved", direction: alarm.direction, value: mean(moved), reference: mean(reference) };
  }

  function settle(value: number): SignalChange | null {
    recent.push(value);
    const look = n / LOOKS;
    if (recent.length % look !== 0) return null;
    const place = superiority(ascending(recent.slice(-look)), ascending(reference));
    if (Math.abs(place - 0.5) <= (detector?.margin ?? 0)) {
      watch();
      return { kind: "returned" };
    }
    if (recent.length < n) return null;
    take(recent);
    return { kind: "relearned" };
  }

  return {
    observe(value) {
      if (!Number.isFinite(value)) return null;
      if (phase === "watching") return hold(value);
      if (phase === "raised") return settle(value);
      recent.push(value);
      if (recent.length < n) return null;
      take(recent);
      return { kind: "learned" };
    },
    get phase() {
      return phase;
    },
    get state() {
      return { phase, reference, recent: [...recent] };
    },
  };
}

const ascending = (values: readonly number[]): Float64Array => Float64Array.from(values).sort();

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
