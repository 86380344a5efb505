export interface ChangeDetectorOptions {
  /** Values from a time when all was well (n >= 30), in any order. More of them find smaller changes. */
  readonly reference: readonly number[];
  /** N >= 2: while nothing changes, an alarm comes no more often than once in N observations. */
  readonly falseAlarmEvery: number;
  /** Changes of P(x > r) + ½ P(x = r) from ½ that are too small to matter, in [0, ¼); 0 where not given. */
  readonly tolerance?: number;
}

export interface ChangeAlarm {
  readonly direction: "up" | "down";
  /** How many of the latest observations, this one among them, seem to come from after the change. */
  readonly observationsSinceChange: number;
  /** Share of reference values below those observations, equal ones half: ½ before the change, in [0, 1]. */
  readonly superiority: number;
}

export interface ChangeDetector {
  /** Takes the next value. After an alarm it starts from nothing. @throws RangeError on NaN */
  observe(value: number): ChangeAlarm | null;
  /** Evidence so far over what an alarm takes, in [0, 1). */
  readonly evidence: number;
  /** ε: how far from ½ the superiority must be for a change to be found at all. */
  readonly margin: number;
}

/** Chance, over reference windows, that the window's own error is more than is allowed for. */
const REFERENCE_RISK = 0.01;

/** Shares of the largest bet; small ones find small changes, large ones large changes sooner. */
const BETS = [1 / 8, 1 / 4, 1 / 2, 3 / 4];

/**
 * Tells when a stream of values has moved up or down against a reference window. Each value x becomes its place among
 * the n reference values, u = (#{r < x} + ½ #{r = x}) / n in [0, 1], so heavy tails and units do not matter. With
 * ε = tolerance + √(ln(2/δ) / 6n), bettors on both sides, λ a share of 1/(½ + ε), keep
 * M_t = (M_{t−1} + 1)(1 + λ(±(u_t − ½) − ε)), and the alarm comes where the mean of all M reaches N: the e-detector of
 * Shiryaev–Roberts type with betting increments (Shin, Ramdas & Rinaldo 2023, def. 2.2 and §4).
 *
 * While |E(u_t | past) − ½| <= ε the mean of M_t less t is a supermartingale, so the mean time to an alarm is at least N
 * and the chance of one among the first T observations at most T/N, for any distribution. Where reference and stream
 * are independent draws of one distribution that condition holds but for a share δ = 0.01 of reference windows:
 * E(u | reference) − ½ is the mean of n centred values no more spread than uniform ones, which are sub-Gaussian with
 * variance 1/12. Streams that swing with the time of day break it: take the reference over whole days, or a tolerance.
 * A change that leaves superiority within ε of ½, such as in spread alone, is not found. One to superiority q takes
 * about 2σ² ln(8N) / (|q − ½| − ε)² observations, σ² <= 1/12. Cost ln n an observation.
 * @throws RangeError on fewer than 30 reference values or NaN among them, N under 2, or a tolerance outside [0, ¼)
 */
export function createChangeDetector(options: ChangeDetectorOptions): ChangeDetector {
  const { falseAlarmEvery, tolerance = 0 } = options;
  const reference = Float64Array.from(options.reference).sort();
  const n = reference.length;
  if (n < 30 || reference.some(Number.isNaN)) {
    throw new RangeError(`createChangeDetector: expected 30 or more reference values and no NaN, got ${n}`);
  }
  if (!(falseAlarmEvery >= 2 && tolerance >= 0 && tolerance < 0.25)) {
    throw new RangeError(
      `createChangeDetector: expected falseAlarmEvery >= 2 and a tolerance in [0, 0.25), got ${falseAlarmEvery} and ${tolerance}`,
    );
  }
  const margin = tolerance + Math.sqrt(Math.log(2 / REFERENCE_RISK) / (6 * n));
  const start = (): readonly Bettor[] =>
    [1, -1].flatMap((sign) =>
      BETS.map((share) => ({ sign, bet: share / (0.5 + margin), wealth: 0, best: 1, length: 0, places: 0 })),
    );
  let bettors = start();
  let evidence = 0;
  return {
    observe(value) {
      if (Number.isNaN(value)) throw new RangeError("createChangeDetector: expected a number, got NaN");
      const place = (countBelow(reference, value, false) + countBelow(reference, value, true)) / (2 * n);
      for (const bettor of bettors) play(bettor, place, margin);
      evidence = bettors.reduce((sum, { wealth }) => sum + wealth, 0) / bettors.length / falseAlarmEvery;
      if (evidence < 1) return null;
      const { sign, length, places } = bettors.reduce((a, b) => (b.wealth > a.wealth ? b : a));
      bettors = start();
      evidence = 0;
      return {
        direction: sign > 0 ? "up" : "down",
        observationsSinceChange: length,
        superiority: places / length,
      };
    },
    get evidence() {
      return evidence;
    },
    margin,
  };
}

interface Bettor {
  /** 1 bets on larger values, −1 on smaller ones. */
  readonly sign: number;
  /** λ. */
  readonly bet: number;
  /** M. */
  wealth: number;
  /** Largest product of factors up to now over all times to begin, the number of factors in it and their u summed. */
  best: number;
  length: number;
  places: number;
}

function play(bettor: Bettor, place: number, margin: number): void {
  const factor = 1 + bettor.bet * (bettor.sign * (place - 0.5) - margin);
  bettor.wealth = (bettor.wealth + 1) * factor;
  if (bettor.best <= 1) {
    bettor.best = 1;
    bettor.length = 0;
    bettor.places = 0;
  }
  bettor.best *= factor;
  bettor.length++;
  bettor.places += place;
}

/** How many of the ascending values are below `value`, or, with `orEqual`, at most it. */
function countBelow(sorted: Float64Array, value: number, orEqual: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = sorted[middle]!;
    if (at < value || (orEqual && at === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}
