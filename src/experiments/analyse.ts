import type { ArmCount, ExperimentDefinition, MetricDefinition, Observation } from "../ports/experiments.ts";
import {
  asymptoticInterval,
  asymptoticPValue,
  mixturePrecision,
  sequenceHalfWidth,
} from "../stats/asymptotic-sequence.ts";
import { createBettingSequence } from "../stats/betting-sequence.ts";
import {
  addCovariate,
  adjustDifference,
  emptyCovariateSums,
  varianceOfMean,
  type CovariateSums,
} from "../stats/covariate-adjustment.ts";
import { detectableDifference, fixedSize, sequentialSize, type SizePlan } from "../stats/planned-size.ts";
import type { Interval } from "../stats/proportion.ts";
import { SAMPLE_RATIO_ALARM, sampleRatio, type SampleRatio } from "../stats/sample-ratio.ts";

/** What to do: as things stand, and with no more error than α however often one has looked. */
export type Verdict =
  | "winner"
  | "stop_for_harm"
  /** No difference that matters, or none found in as many units as were planned. */
  | "no_difference"
  | "keep_running"
  /** The arms did not get the units that they were dealt: find out why before anything is concluded. */
  | "not_to_be_trusted";

export interface SequencePoint {
  /** Units so far. */
  readonly units: number;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly difference: number;
  readonly low: number;
  readonly high: number;
}

export interface ArmAnalysis {
  readonly arm: string;
  /** Units judged. */
  readonly units: number;
  /** Null without units. */
  readonly mean: number | null;
  /** Of the mean, valid at any time; null with fewer than two units. */
  readonly interval: Interval | null;
}

/** One arm against the control; differences are the arm's mean less the control's. */
export interface Comparison {
  readonly arm: string;
  /** Units that the difference is of: in a pair, those judged under both arms. */
  readonly units: number;
  readonly difference: number | null;
  /**
   * What the verdict goes by. `betting`: holds whatever the distribution is, for values with bounds in pairs. `asymptotic`: holds
   * where there are enough units for their mean to be about normal.
   */
  readonly method: "betting" | "asymptotic";
  /** Narrows as units come; null before there are enough. */
  readonly interval: Interval | null;
  /** Of no difference, valid at any time. */
  readonly pValue: number;
  /** By the betting sequences of both arms at α/2 each, or of the pairs; null for a metric without bounds. */
  readonly exact: Interval | null;
  /** With the part that the prompt's length explains taken out; null in pairs, where it explains nothing. */
  readonly adjusted: {
    readonly difference: number;
    readonly interval: Interval;
    /** Share of the variance that is gone. */
    readonly reduction: number;
  } | null;
  /** The interval over time, at most 200 points. */
  readonly sequence: readonly SequencePoint[];
  readonly verdict: Verdict;
  /** The verdict in words. */
  readonly sentence: string;
  /** What this many units can show, and what would be needed; null before the variance is known. */
  readonly size: {
    /** The smallest difference that the planned units find with a chance of POWER. */
    readonly detectable: number;
    /** Units to find the planned minimum effect at any time, and at one look at the end; null where none is planned. */
    readonly sequential: number | null;
    readonly fixed: number | null;
  } | null;
}

export interface ExperimentAnalysis {
  readonly metric: string;
  readonly alpha: number;
  readonly arms: readonly ArmAnalysis[];
  readonly comparisons: readonly Comparison[];
  readonly sampleRatio: SampleRatio & { readonly alarm: boolean };
}

export const POWER = 0.8;
/** Before, nothing is concluded from an asymptotic sequence: units in all, and in each arm of a split. */
const FIRST_LOOK = { units: 50, arm: 20 };
const POINTS = 200;

/**
 * What an experiment's observations say by one metric, valid at any time of looking: with several arms each is held against the
 * control at α over the number of such comparisons (Bonferroni).
 * @param counts of units by arm and allocation, for the sample ratio
 */
export function analyseExperiment(
  experiment: Pick<ExperimentDefinition, "mode" | "arms" | "control" | "plan"> & {
    readonly allocations: readonly { readonly weights: Readonly<Record<string, number>> }[];
  },
  metric: MetricDefinition,
  observations: readonly Observation[],
  counts: readonly ArmCount[],
): ExperimentAnalysis {
  const { mode, arms, control, plan } = experiment;
  const others = arms.map(({ name }) => name).filter((name) => name !== control);
  const alpha = plan.alpha / others.length;
  const rho = mixturePrecision(alpha, plan.units);
  const ratio = sampleRatioOf(experiment, counts);
  const alarm = ratio.sequentialPValue < SAMPLE_RATIO_ALARM;
  const bounds = metric.kind === "boolean" ? ([0, 1] as const) : metric.bounds;
  const setting: Setting = { metric, bounds, alpha, rho, plan, control, alarm };
  return {
    metric: metric.name,
    alpha: plan.alpha,
    arms: arms.map(({ name }) => armAnalysis(name, observations, rho, alpha)),
    comparisons: others.map((arm) =>
      mode === "split" ? compareSplit(arm, observations, setting) : comparePairs(arm, observations, setting),
    ),
    sampleRatio: { ...ratio, alarm },
  };
}

interface Setting {
  readonly metric: MetricDefinition;
  readonly bounds: readonly [low: number, high: number] | null;
  readonly alpha: number;
  readonly rho: number;
  readonly plan: ExperimentDefinition["plan"];
  readonly control: string;
  readonly alarm: boolean;
}

function armAnalysis(
  arm: string,
  observations: readonly Observation[],
  rho: number,
  alpha: number,
): ArmAnalysis {
  const sums = emptyCovariateSums();
  for (const { values } of observations) if (values[arm] !== undefined) addCovariate(sums, values[arm], 0);
  const { n, y } = sums;
  if (n === 0) return { arm, units: 0, mean: null, interval: null };
  const half = n < 2 ? null : sequenceHalfWidth({ variance: varianceOfMean(sums, 0), n }, rho, alpha);
  const mean = y / n;
  return {
    arm,
    units: n,
    mean,
    interval: half === null ? null : { low: mean - half, high: mean + half },
  };
}

/** Differences within units that were judged under both arms. */
function comparePairs(arm: string, observations: readonly Observation[], setting: Setting): Comparison {
  const { bounds, alpha, rho, control } = setting;
  const sums = emptyCovariateSums();
  const range = bounds === null ? null : bounds[1] - bounds[0];
  const betting = range === null ? null : createBettingSequence({ alpha });
  const tracker = createTracker(observations.length);
  let pValue = 1;
  for (const { at, values } of observations) {
    const [own, other] = [values[arm], values[control]];
    if (own === undefined || other === undefined) continue;
    const d = own - other;
    addCovariate(sums, d, 0);
    const { n } = sums;
    const difference = sums.y / n;
    if (betting !== null && range !== null) {
      betting.observe(Math.min(1, Math.max(0, (d / range + 1) / 2)));
      tracker.add({ units: n, at, difference, ...scaled(betting.interval, range) });
      continue;
    }
    const variance = n < FIRST_LOOK.units ? 0 : varianceOfMean(sums, 0);
    if (!(variance > 0)) continue;
    pValue = Math.min(pValue, asymptoticPValue({ difference, variance, n }, rho));
    tracker.add({ units: n, at, difference, ...asymptoticInterval({ difference, variance, n }, rho, alpha) });
  }
  const { n } = sums;
  const exact = betting === null || range === null || n === 0 ? null : scaled(betting.interval, range);
  return concluded(
    {
      arm,
      units: n,
      difference: n === 0 ? null : sums.y / n,
      method: betting === null ? "asymptotic" : "betting",
      pValue: betting?.pValueOfHalf ?? pValue,
      exact,
      adjusted: null,
      unitVariance: n < 2 ? 0 : varianceOfMean(sums, 0) * n,
    },
    tracker,
    setting,
  );
}

/** From means in [0, 1] of (d / range + 1) / 2 to differences. */
function scaled({ low, high }: Interval, range: number): Interval {
  return { low: range * (2 * low - 1), high: range * (2 * high - 1) };
}

/** Units that were each in one arm. */
function compareSplit(arm: string, observations: readonly Observation[], setting: Setting): Comparison {
  const { bounds, alpha, rho, control } = setting;
  const own = armSums(bounds, alpha);
  const other = armSums(bounds, alpha);
  const tracker = createTracker(observations.length);
  let pValue = 1;
  for (const { at, values, covariate } of observations) {
    const side = values[arm] !== undefined ? own : values[control] !== undefined ? other : null;
    if (side === null) continue;
    side.observe(values[arm] ?? values[control] ?? 0, covariate);
    const units = own.sums.n + other.sums.n;
    if (units < FIRST_LOOK.units || Math.min(own.sums.n, other.sums.n) < FIRST_LOOK.arm) continue;
    const difference = own.sums.y / own.sums.n - other.sums.y / other.sums.n;
    const variance = varianceOfMean(own.sums, 0) + varianceOfMean(other.sums, 0);
    if (!(variance > 0)) continue;
    const watched = { difference, variance, n: units };
    pValue = Math.min(pValue, asymptoticPValue(watched, rho));
    tracker.add({ units, at, difference, ...asymptoticInterval(watched, rho, alpha) });
  }
  const units = own.sums.n + other.sums.n;
  const both = Math.min(own.sums.n, other.sums.n);
  const adjusted = both < FIRST_LOOK.arm ? null : adjustDifference(other.sums, own.sums);
  const bothExact = own.interval() !== null && other.interval() !== null;
  return concluded(
    {
      arm,
      units,
      difference: both === 0 ? null : own.sums.y / own.sums.n - other.sums.y / other.sums.n,
      method: "asymptotic",
      pValue,
      exact: bothExact
        ? {
            low: own.interval()!.low - other.interval()!.high,
            high: own.interval()!.high - other.interval()!.low,
          }
        : null,
      adjusted: adjusted && {
        difference: adjusted.difference,
        interval: asymptoticInterval(
          { difference: adjusted.difference, variance: adjusted.variance, n: units },
          rho,
          alpha,
        ),
        reduction: adjusted.reduction,
      },
      unitVariance: both < 2 ? 0 : (varianceOfMean(own.sums, 0) + varianceOfMean(other.sums, 0)) * units,
    },
    tracker,
    setting,
  );
}

/** One arm's sums, and, where values have bounds, its betting sequence at α/2. */
function armSums(bounds: Setting["bounds"], alpha: number) {
  const sums: CovariateSums = emptyCovariateSums();
  const betting = bounds === null ? null : createBettingSequence({ alpha: alpha / 2 });
  const [low, high] = bounds ?? [0, 1];
  return {
    sums,
    observe(value: number, covariate: number): void {
      addCovariate(sums, value, covariate);
      betting?.observe(Math.min(1, Math.max(0, (value - low) / (high - low))));
    },
    interval(): Interval | null {
      if (betting === null || betting.n === 0) return null;
      const { interval } = betting;
      return { low: low + (high - low) * interval.low, high: low + (high - low) * interval.high };
    },
  };
}

/** Keeps the running intersection of the intervals, and some of them for a chart. */
interface Tracker {
  add(point: SequencePoint): void;
  readonly interval: Interval | null;
  points(): readonly SequencePoint[];
}

function createTracker(most: number): Tracker {
  const step = Math.max(1, Math.ceil(most / POINTS));
  const kept: SequencePoint[] = [];
  let last: SequencePoint | null = null;
  let seen = 0;
  return {
    add(point) {
      const low = Math.max(point.low, last?.low ?? -Infinity);
      const high = Math.min(point.high, last?.high ?? Infinity);
      // An empty intersection has a chance below α: the interval that came last stands for it.
      last = low <= high ? { ...point, low, high } : point;
      if (seen++ % step === 0) kept.push(last);
    },
    get interval() {
      return last && { low: last.low, high: last.high };
    },
    points: () => (last === null || kept.at(-1) === last ? kept : [...kept, last]),
  };
}

type Found = Pick<Comparison, "arm" | "units" | "difference" | "method" | "pValue" | "exact" | "adjusted"> & {
  /** n · SE² of the difference; 0 where it is not known. */
  readonly unitVariance: number;
};

function concluded({ unitVariance, ...found }: Found, tracker: Tracker, setting: Setting): Comparison {
  const { interval } = tracker;
  const verdict = verdictOf(found.units, interval, setting);
  return {
    ...found,
    interval,
    sequence: tracker.points(),
    verdict,
    sentence: sentenceOf(verdict, found, interval, setting),
    size: unitVariance > 0 ? sizeOf(unitVariance, setting) : null,
  };
}

function verdictOf(units: number, interval: Interval | null, { metric, plan, alarm }: Setting): Verdict {
  if (alarm) return "not_to_be_trusted";
  if (interval === null) return "keep_running";
  const { low, high } = metric.better === "higher" ? interval : { low: -interval.high, high: -interval.low };
  if (low > 0) return "winner";
  if (high < 0) return "stop_for_harm";
  const negligible = plan.minimumEffect !== null && Math.max(-low, high) < plan.minimumEffect;
  return negligible || units >= plan.units ? "no_difference" : "keep_running";
}

function sentenceOf(
  verdict: Verdict,
  { arm, units, difference }: Pick<Found, "arm" | "units" | "difference">,
  interval: Interval | null,
  { metric, plan, control, alpha }: Setting,
): string {
  const sure = `${Number((100 * (1 - alpha)).toFixed(2))} %`;
  const seen =
    interval === null || difference === null
      ? ""
      : ` by ${signed(difference)} (${signed(interval.low)} to ${signed(interval.high)}, ${sure} at any time) over ${units} units`;
  switch (verdict) {
    case "winner":
      return `${arm} is better than ${control} in ${metric.name}${seen}.`;
    case "stop_for_harm":
      return `${arm} is worse than ${control} in ${metric.name}${seen}: stop it.`;
    case "no_difference":
      return `${arm} and ${control} do not differ in ${metric.name} by what could be told${seen}.`;
    case "not_to_be_trusted":
      return "The arms did not get the units that they were dealt: find out why before anything is concluded.";
    case "keep_running":
      return `Not decided${seen}; ${Math.max(plan.units - units, 0)} of ${plan.units} planned units are to come.`;
  }
}

function signed(value: number): string {
  const digits = Math.abs(value) < 10 ? 4 : 1;
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
}

function sizeOf(unitVariance: number, { alpha, rho, plan }: Setting): Comparison["size"] {
  const size: SizePlan = { alpha, power: POWER, unitVariance };
  const { minimumEffect, units } = plan;
  return {
    detectable: detectableDifference(size, units, rho),
    sequential: minimumEffect === null ? null : sequentialSize(size, minimumEffect, rho),
    fixed: minimumEffect === null ? null : fixedSize(size, minimumEffect),
  };
}

function sampleRatioOf(
  { arms, allocations, mode }: Parameters<typeof analyseExperiment>[0],
  counts: readonly ArmCount[],
): SampleRatio {
  // In a pair every unit has both arms: there is no ratio to miss.
  if (mode === "paired_shadow") return sampleRatio([]);
  return sampleRatio(
    allocations.map(({ weights }, allocation) => {
      const dealt = arms.filter(({ name }) => (weights[name] ?? 0) > 0);
      return {
        counts: dealt.map(({ name }) =>
          counts
            .filter((count) => count.arm === name && count.allocation === allocation)
            .reduce((sum, { units }) => sum + units, 0),
        ),
        weights: dealt.map(({ name }) => weights[name] ?? 0),
      };
    }),
  );
}
