import { matrixFrom, type Matrix } from "../linalg/matrix.ts";
import { createRandom, type Random } from "../linalg/random.ts";
import { bootstrapInterval } from "../stats/bootstrap.ts";
import { calibrate, safeLog } from "../stats/calibration.ts";
import { setMetrics } from "../stats/conformal.ts";
import { chooseCalibration } from "../stats/fit-calibration.ts";
import { dealFolds } from "../stats/folds.ts";
import { topVerdict, type Forecast, type Verdict } from "../stats/forecast.ts";
import { classProbabilities, fitLogisticRegression } from "../stats/logistic-regression.ts";
import { areaUnderRiskCoverage, auroc, riskCoverage, type RiskCoveragePoint } from "../stats/ranking.ts";
import {
  binaryBrierScore,
  binaryNegativeLogLikelihood,
  brierScore,
  negativeLogLikelihood,
} from "../stats/proper-scores.ts";
import type { Interval } from "../stats/proportion.ts";
import {
  calibrationErrorByChance,
  EQUAL_MASS,
  EQUAL_WIDTH,
  expectedCalibrationError,
  reliabilityBins,
  type ReliabilityBin,
} from "../stats/reliability.ts";
import {
  CHOICE_CALIBRATIONS,
  decideChoices,
  type ChoiceDecider,
  type ChoiceKind,
} from "./choice-calibration.ts";
import { perByte } from "./choice-features.ts";
import { headProbabilities, optionProbabilities } from "./choice-head.ts";
import type { ScoredItem } from "./choice-ways.ts";
import { ENSEMBLE_ID } from "./engine.ts";
import { judgeAnswer, type AnswerJudge, type JudgedAnswer } from "./short-answers.ts";

/** How good the confidences of one way to answer are, on items that it has not seen. */
export interface ConfidenceRow {
  readonly name: string;
  /** Whether its probabilities were calibrated, on items held apart. */
  readonly calibrated: boolean;
  readonly items: number;
  /** Share of right answers. */
  readonly accuracy: number;
  /** Expected calibration error in bins of one width and of one mass, 95 % intervals by bootstrap over items. */
  readonly eceWidth: Estimate;
  readonly eceMass: Estimate;
  /** What `eceWidth` would be on average by chance alone, were every confidence exactly right. */
  readonly eceByChance: number;
  /** Of all choices' probabilities; of free answers, of the confidence. */
  readonly brier: number;
  /** Nats. */
  readonly nll: number;
  /** Area under the ROC curve of confidence against rightness. */
  readonly auroc: Estimate;
  /** Area under the risk–coverage curve, lower is better. */
  readonly aurc: number;
  readonly bins: readonly ReliabilityBin[];
  readonly riskCoverage: readonly RiskCoveragePoint[];
}

export interface Estimate {
  readonly value: number;
  readonly interval: Interval;
}

/** Prediction sets at one level. */
export interface SetRow {
  readonly name: string;
  /** Asked for. */
  readonly level: number;
  /** Share of sets with the right choice in them. */
  readonly coverage: number;
  /** Choices in a set, on average. */
  readonly size: number;
  /** What chance allows around the level, 95 %: of the items here, and of those that the sets were calibrated on. */
  readonly byChance: number;
}

/** What the members' disagreement says beyond the confidence: AUROC of a regression on both less one on the confidence alone. */
export interface DisagreementGain {
  readonly confidence: number;
  readonly both: number;
  readonly difference: Estimate;
}

export interface SetReport {
  readonly name: string;
  readonly rows: readonly ConfidenceRow[];
  readonly sets: readonly SetRow[];
  /** Null with a single member, and where too few answers are right or wrong. */
  readonly disagreement: DisagreementGain | null;
}

export const LEVELS = [0.8, 0.9, 0.95];
const RESAMPLES = 1000;
const FOLDS = 5;

/** Scored items of one kind of question: those that deciders were calibrated on, and those that are told of. */
export interface ReportedItems {
  readonly calibrating: readonly ScoredItem[];
  readonly told: readonly ScoredItem[];
}

/**
 * The ensemble's and every member's decider, and what they are compared with: each member's own probability (of its
 * log-probabilities, per byte or not as is better on the calibrating items), as it is and calibrated in the same way, the
 * mean of these, calibrated or not, and the vote.
 * @throws Error when evidence of a member is missing
 */
export function reportChoiceConfidence(
  kind: ChoiceKind,
  memberIds: readonly string[],
  { calibrating, told }: ReportedItems,
  seed: number,
): SetReport {
  const random = createRandom(seed);
  const ways = waysOf(kind, memberIds, calibrating, random);
  const rows = ways.map(({ name, calibrated, forecast }) =>
    choiceRow(name, calibrated, told.map(forecast), random),
  );
  const decider = kind.deciders.find(({ head }) => head.memberIds.join() === memberIds.join());
  return {
    name: kind.name,
    rows,
    sets: kind.deciders.flatMap((own) => setRows(own, told)),
    disagreement:
      decider === undefined || memberIds.length < 2
        ? null
        : gainOf(
            told.map((scored) => disagreementAt(decider, memberIds, scored)),
            random,
          ),
  };
}

/** The judge's confidence in free answers, and the mean token probability as it is. */
export function reportAnswerConfidence(
  name: string,
  judged: readonly { readonly judge: AnswerJudge; readonly told: readonly JudgedAnswer[] }[],
  seed: number,
): SetReport {
  const random = createRandom(seed);
  const rows = judged.flatMap(({ judge, told }) => {
    const who = judge.memberIds.length > 1 ? ENSEMBLE_ID : judge.memberIds.join();
    const own = told.map(({ features, right }): Verdict => ({
      confidence: judgeAnswer(judge, features).confidence,
      correct: right,
    }));
    const plain = told.map(({ features, right }): Verdict => ({
      confidence: Math.exp(features[1] ?? 0),
      correct: right,
    }));
    return [
      verdictRow(who, true, own, random),
      verdictRow(`${who}, mean token probability`, false, plain, random),
    ];
  });
  return { name, rows, sets: [], disagreement: null };
}

interface ForecastingWay {
  readonly name: string;
  readonly calibrated: boolean;
  forecast(scored: ScoredItem): Forecast;
}

export const MEAN_OF_OWN = "mean of the members' own probabilities";
export const VOTE_SHARES = "shares of the members' votes";
export const ownProbability = (id: string): string => `${id}, own probability`;

function waysOf(
  kind: ChoiceKind,
  memberIds: readonly string[],
  calibrating: readonly ScoredItem[],
  random: Random,
): ForecastingWay[] {
  const own = memberIds.map((id) => ownWay(id, calibrating));
  const mean: ForecastingWay = {
    name: MEAN_OF_OWN,
    calibrated: false,
    forecast: (scored) => averaged(own.map(({ forecast }) => forecast(scored))),
  };
  const vote: ForecastingWay = {
    name: VOTE_SHARES,
    calibrated: false,
    forecast: (scored) => averaged(own.map(({ forecast }) => oneVote(forecast(scored)))),
  };
  return [
    ...kind.deciders.map((decider): ForecastingWay => ({
      name: nameOf(decider),
      calibrated: true,
      forecast: ({ item, scores }) => ({
        probabilities: decideChoices(decider, scores).probabilities,
        label: item.label,
      }),
    })),
    ...kind.deciders.map((decider): ForecastingWay => ({
      name: `${nameOf(decider)}, not calibrated`,
      calibrated: false,
      forecast: ({ item, scores }) => ({
        probabilities: headProbabilities(decider.head, scores),
        label: item.label,
      }),
    })),
    ...own,
    ...[...own, mean].map((way) => calibratedWay(way, calibrating, random)),
    mean,
    vote,
  ];
}

function nameOf({ head }: ChoiceDecider): string {
  return head.memberIds.length > 1 ? ENSEMBLE_ID : `${head.memberIds.join()} with a head`;
}

/** A member's log-probabilities as they are or per byte, whichever lets it foresee the calibrating items better. */
function ownWay(id: string, calibrating: readonly ScoredItem[]): ForecastingWay {
  const by =
    (normalise: boolean) =>
    ({ item, scores }: ScoredItem): Forecast => {
      const logprobs = scores.alone.find(({ name }) => name === id)?.logprobs;
      if (logprobs === undefined) throw new Error(`${item.id}: no scores of ${id}`);
      const used = normalise ? perByte(logprobs, scores.bytes) : logprobs;
      return { probabilities: optionProbabilities(used), label: item.label };
    };
  const right = (forecast: (scored: ScoredItem) => Forecast): number =>
    calibrating.filter((scored) => topVerdict(forecast(scored)).correct).length;
  const forecast = right(by(true)) > right(by(false)) ? by(true) : by(false);
  return { name: ownProbability(id), calibrated: false, forecast };
}

function calibratedWay(
  way: ForecastingWay,
  calibrating: readonly ScoredItem[],
  random: Random,
): ForecastingWay {
  const { calibration } = chooseCalibration(CHOICE_CALIBRATIONS, calibrating.map(way.forecast), {
    folds: FOLDS,
    random,
  });
  return {
    name: `${way.name}, calibrated`,
    calibrated: true,
    forecast: (scored) => {
      const { probabilities, label } = way.forecast(scored);
      return { probabilities: calibrate(calibration, probabilities), label };
    },
  };
}

function averaged(forecasts: readonly Forecast[]): Forecast {
  const [first, ...others] = forecasts;
  if (first === undefined) throw new Error("a mean needs a member");
  const probabilities = first.probabilities.map((p, c) =>
    others.reduce(
      (sum, other) => sum + (other.probabilities[c] ?? 0) / forecasts.length,
      p / forecasts.length,
    ),
  );
  return { probabilities, label: first.label };
}

function oneVote({ probabilities, label }: Forecast): Forecast {
  const top = probabilities.indexOf(Math.max(...probabilities));
  return { probabilities: probabilities.map((_, c) => Number(c === top)), label };
}

function choiceRow(
  name: string,
  calibrated: boolean,
  forecasts: readonly Forecast[],
  random: Random,
): ConfidenceRow {
  return {
    ...verdictRow(name, calibrated, forecasts.map(topVerdict), random),
    brier: brierScore(forecasts),
    nll: negativeLogLikelihood(forecasts),
  };
}

function verdictRow(
  name: string,
  calibrated: boolean,
  verdicts: readonly Verdict[],
  random: Random,
): ConfidenceRow {
  const bootstrap = { random, resamples: RESAMPLES };
  const estimate = (statistic: (sample: readonly Verdict[]) => number): Estimate => ({
    value: statistic(verdicts),
    interval: bootstrapInterval(verdicts, statistic, bootstrap),
  });
  return {
    name,
    calibrated,
    items: verdicts.length,
    accuracy: verdicts.filter(({ correct }) => correct).length / verdicts.length,
    eceWidth: estimate((sample) => expectedCalibrationError(sample, EQUAL_WIDTH)),
    eceMass: estimate((sample) => expectedCalibrationError(sample, EQUAL_MASS)),
    eceByChance: calibrationErrorByChance(verdicts, random),
    brier: binaryBrierScore(verdicts),
    nll: binaryNegativeLogLikelihood(verdicts),
    auroc: estimate(auroc),
    aurc: areaUnderRiskCoverage(verdicts),
    bins: reliabilityBins(verdicts, EQUAL_WIDTH),
    riskCoverage: riskCoverage(verdicts),
  };
}

function setRows(decider: ChoiceDecider, told: readonly ScoredItem[]): SetRow[] {
  const decided = told.map(({ scores }) => decideChoices(decider, scores));
  const labels = told.map(({ item }) => item.label);
  const calibrated = decider.conformal.calibrationScores.length;
  return LEVELS.map((level) => {
    const { coverage, meanSize } = setMetrics(
      decided.map(({ set }) => set(level)),
      labels,
    );
    // The coverage of a fitted rule is about Beta distributed, Vovk 2012; that of a sample of it adds a binomial.
    const deviation = Math.sqrt(level * (1 - level) * (1 / told.length + 1 / (calibrated + 2)));
    return { name: nameOf(decider), level, coverage, size: meanSize, byChance: 1.96 * deviation };
  });
}

/** A verdict with how far the members disagreed. */
interface Disagreeing extends Verdict {
  /** H(mean of the members' distributions over the choices) − mean H, of their own deciders' log-probabilities, nats. */
  readonly divergence: number;
}

function disagreementAt(
  decider: ChoiceDecider,
  memberIds: readonly string[],
  { item, scores }: ScoredItem,
): Disagreeing {
  const { probabilities } = decideChoices(decider, scores);
  const own = memberIds.map((id) =>
    optionProbabilities(scores.alone.find(({ name }) => name === id)?.logprobs ?? []),
  );
  const mean = averaged(own.map((p) => ({ probabilities: p, label: item.label }))).probabilities;
  const divergence = entropyOf(mean) - own.reduce((sum, p) => sum + entropyOf(p) / own.length, 0);
  return { ...topVerdict({ probabilities, label: item.label }), divergence };
}

function entropyOf(probabilities: readonly number[]): number {
  return probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}

/** The verdict on one answer without disagreement and with it. */
interface Pair {
  readonly alone: Verdict;
  readonly both: Verdict;
}

/** λ: enough for a least loss where all answers are right. */
const GAIN_RIDGE = 0.1;

/**
 * A logistic regression of rightness on logit confidence and divergence, beside the confidence: for each of five folds
 * learned from the others, since deciders have seen all other items. Null where too few are right or wrong.
 */
function gainOf(told: readonly Disagreeing[], random: Random): DisagreementGain | null {
  const right = told.map(({ correct }) => Number(correct));
  const rights = right.reduce((sum, one) => sum + one, 0);
  if (Math.min(rights, told.length - rights) < FOLDS) return null;
  const folds = dealFolds(right, FOLDS, random);
  const pairs = Array.from({ length: FOLDS }, (_, out): Pair[] => {
    const seen = told.filter((__, i) => folds[i] !== out);
    const unseen = told.filter((__, i) => folds[i] === out);
    const model = fitLogisticRegression(
      {
        features: disagreementFeatures(seen),
        labels: seen.map(({ correct }) => Number(correct)),
        classes: 2,
      },
      GAIN_RIDGE,
    );
    const fitted = classProbabilities(model, disagreementFeatures(unseen)).data;
    return unseen.map((alone, i) => ({
      alone,
      both: { confidence: fitted[2 * i + 1] ?? 0, correct: alone.correct },
    }));
  }).flat();
  const difference = (sample: readonly Pair[]): number => aurocOf(sample, "both") - aurocOf(sample, "alone");
  return {
    confidence: aurocOf(pairs, "alone"),
    both: aurocOf(pairs, "both"),
    difference: {
      value: difference(pairs),
      interval: bootstrapInterval(pairs, difference, { random, resamples: RESAMPLES }),
    },
  };
}

function aurocOf(pairs: readonly Pair[], which: keyof Pair): number {
  return auroc(pairs.map((pair) => pair[which]));
}

/** Logit of the confidence, and the divergence (n, 2). */
function disagreementFeatures(verdicts: readonly Disagreeing[]): Matrix {
  return matrixFrom(
    verdicts.length,
    2,
    verdicts.flatMap(({ confidence, divergence }) => [
      safeLog(confidence) - safeLog(1 - confidence),
      divergence,
    ]),
  );
}
