import type { Interval } from "./proportion.ts";

export interface BettingSequenceOptions {
  /** The mean is outside the interval at any time with at most this probability; in (0, 1). */
  readonly alpha: number;
  /** Means that are tried: 0, 1/breaks, …, 1. An even number, so that ½ is one of them. Default 1000. */
  readonly breaks?: number | undefined;
}

/** What is known of the mean of values in [0, 1], whatever else their distribution is, at every time. */
export interface BettingSequence {
  readonly n: number;
  /** Contains the mean at all times at once with probability 1 − α; only ever gets narrower. */
  readonly interval: Interval;
  /** Of a mean of ½, valid at any time: the running minimum of 1/K(½), at most 1. */
  readonly pValueOfHalf: number;
  /** Cost: a step for each mean that is not refuted. @throws RangeError for a value outside [0, 1] */
  observe(value: number): void;
}

/** Of the variance and of the mean before there are values: those of a fair coin, counted as one value. */
const PRIOR = { mean: 0.5, variance: 0.25 };
/** No bet puts more than this share of the capital at risk. */
const MOST_AT_RISK = 0.5;

/**
 * The hedged capital process: against a mean m bets K⁺ = Π(1 + λ⁺(x − m)) and K⁻ = Π(1 − λ⁻(x − m)) with
 * λ_t = √(2 ln(2/α) / (σ̂²_{t−1} t ln(1 + t))), λ⁺ at most ½/m and λ⁻ at most ½/(1 − m); m is refuted where
 * K = max(½K⁺, ½K⁻) reaches 1/α, since the capital of a bettor against the true mean is a martingale (Ville 1939). The
 * interval is the hull of the means tried that are not refuted, and one step more on both sides, intersected over time.
 * Waudby-Smith & Ramdas 2024, eqs. 24 to 26.
 * @throws RangeError unless 0 < α < 1 and the breaks are an even number from 2
 */
export function createBettingSequence({ alpha, breaks = 1000 }: BettingSequenceOptions): BettingSequence {
  if (!(alpha > 0 && alpha < 1) || !Number.isInteger(breaks / 2) || breaks < 2) {
    throw new RangeError(
      `createBettingSequence: expected 0 < α < 1 and an even number of breaks, got ${alpha} and ${breaks}`,
    );
  }
  const threshold = Math.log(1 / alpha);
  const half = breaks / 2;
  /** ln K⁺ and ln K⁻ of each mean tried. */
  const up = new Float64Array(breaks + 1);
  const down = new Float64Array(breaks + 1);
  /** The hull, as indices of means; not the widening by one step. */
  let first = 0;
  let last = breaks;
  let interval: Interval = { low: 0, high: 1 };
  let n = 0;
  let sum = 0;
  let squares = 0;
  let variance = PRIOR.variance;
  let evidence = 0;

  const capital = (at: number): number => Math.max(up[at]!, down[at]!) - Math.LN2;

  function bet(at: number, value: number, lambda: number): void {
    const mean = at / breaks;
    up[at]! += Math.log1p(Math.min(lambda, MOST_AT_RISK / mean) * (value - mean));
    down[at]! += Math.log1p(-Math.min(lambda, MOST_AT_RISK / (1 - mean)) * (value - mean));
  }

  return {
    get n() {
      return n;
    },
    get interval() {
      return interval;
    },
    get pValueOfHalf() {
      return Math.min(1, Math.exp(-evidence));
    },
    observe(value) {
      if (!(value >= 0 && value <= 1)) {
        throw new RangeError(`createBettingSequence: expected a value in [0, 1], got ${value}`);
      }
      n++;
      const lambda = Math.sqrt((2 * Math.log(2 / alpha)) / (variance * n * Math.log(1 + n)));
      for (let at = first; at <= last; at++) bet(at, value, lambda);
      if (half < first || half > last) bet(half, value, lambda);
      evidence = Math.max(evidence, capital(half));
      sum += value;
      squares += (value - (PRIOR.mean + sum) / (n + 1)) ** 2;
      variance = (PRIOR.variance + squares) / (n + 1);
      let low = first;
      let high = last;
      while (low <= high && capital(low) > threshold) low++;
      while (high >= low && capital(high) > threshold) high--;
      // All refuted: the chance of it is below α, and the last interval is as good as any.
      if (low > high) return;
      [first, last] = [low, high];
      interval = {
        low: Math.max(interval.low, (first - 1) / breaks),
        high: Math.min(interval.high, (last + 1) / breaks),
      };
    },
  };
}
