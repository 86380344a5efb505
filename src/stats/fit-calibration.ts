import { createMatrix, matrixFrom } from "../linalg/matrix.ts";
import type { Random } from "../linalg/random.ts";
import {
  calibrate,
  calibrateConfidence,
  type Calibration,
  type CalibrationKind,
  type ConfidenceCalibration,
  safeLog,
} from "./calibration.ts";
import { type ChoiceSets, fitConditionalLogit } from "./conditional-logit.ts";
import { dealFolds } from "./folds.ts";
import { checkForecasts, checkVerdicts, type Forecast, type Verdict } from "./forecast.ts";
import { fitIsotonic } from "./isotonic.ts";
import { binaryNegativeLogLikelihood, negativeLogLikelihood } from "./proper-scores.ts";
import { createPreconditioner, fitSoftmax, scatterOf, type SoftmaxTask } from "./softmax-regression.ts";

export interface CalibrationOptions {
  /** λ of dirichlet: 0.01 unless given. */
  readonly ridge?: number;
}

export interface CalibrationSearch {
  readonly folds: number;
  readonly random: Random;
}

/** A calibration, and what it was chosen among. */
export interface ChosenCalibration<Found extends Calibration = Calibration> {
  /** Of the least loss, fitted on all examples. */
  readonly calibration: Found;
  /** Mean negative log-likelihood of held-out examples under each that was tried, nats; identity first. */
  readonly losses: readonly {
    readonly kind: Found["kind"];
    readonly ridge?: number;
    readonly loss: number;
  }[];
}

/** 1/T, a and b are kept below this: examples that are all right would make them endless. */
const STEEPEST = 20;
/** Of 1/T, a, b and c: too small to be seen, but enough for a least loss to exist. */
const RIDGE = 1e-9;
const DIRICHLET_RIDGE = 0.01;
/** Nats a forecast that the next step may still gain. */
const DIRICHLET_TOLERANCE = 1e-16;
const DIRICHLET_RIDGES = [1e-3, 1e-2, 1e-1, 1];

/**
 * The calibration of a kind that fits forecasts best: temperature, beta and dirichlet by the likelihood of what came
 * true, isotonic by the squared error of each option against the rest. a and b of beta are >= 0, and 1/T, a and b at
 * most 20; steps of isotonic lie within [1/(n + 2), 1 − 1/(n + 2)], n options in all. Dirichlet minimises
 * NLL / n + λ (Σ_{j≠k} W_jk² / (c(c − 1)) + Σ d² / c) (Kull et al. 2019, eq. 4).
 * @throws RangeError on no forecasts or bad ones, or for dirichlet when they differ in their number of classes
 */
export function fitCalibration(
  kind: CalibrationKind,
  forecasts: readonly Forecast[],
  { ridge = DIRICHLET_RIDGE }: CalibrationOptions = {},
): Calibration {
  checkForecasts("fitCalibration", forecasts);
  switch (kind) {
    case "identity":
      return { kind };
    case "temperature":
      return { kind, ...fitTemperature(optionSets(forecasts, [safeLog])) };
    case "beta":
      return { kind, ...fitBeta((features) => optionSets(forecasts, features)), c: 0 };
    case "isotonic":
      return { kind, ...fitIsotonic(forecasts.flatMap(oneAgainstRest)) };
    case "dirichlet":
      return fitDirichlet(forecasts, ridge);
  }
}

/**
 * The calibration of a kind that fits verdicts best, for `calibrateConfidence`; bounds as for `fitCalibration`.
 * @throws RangeError on no verdicts or bad ones, or unless some are right and some wrong
 */
export function fitConfidenceCalibration(
  kind: ConfidenceCalibration["kind"],
  verdicts: readonly Verdict[],
): ConfidenceCalibration {
  checkVerdicts("fitConfidenceCalibration", verdicts);
  const rights = verdicts.filter(({ correct }) => correct).length;
  if (rights === 0 || rights === verdicts.length) {
    throw new RangeError(
      `fitConfidenceCalibration: expected right and wrong answers, got ${rights} right of ${verdicts.length}`,
    );
  }
  switch (kind) {
    case "identity":
      return { kind };
    case "temperature":
      return { kind, ...fitTemperature(verdictSets(verdicts, [(p) => safeLog(p) - safeLog(1 - p)])) };
    case "beta":
      return { kind, ...fitBeta((features) => verdictSets(verdicts, [...features, () => 1])) };
    case "isotonic":
      return { kind, ...fitIsotonic(verdicts) };
  }
}

/**
 * The calibration with the least negative log-likelihood of held-out forecasts, among identity, the kinds asked for, and
 * four λ of dirichlet if that is asked for. @throws RangeError as `fitCalibration` does, or on fewer than two forecasts
 */
export function chooseCalibration(
  kinds: readonly CalibrationKind[],
  forecasts: readonly Forecast[],
  { folds, random }: CalibrationSearch,
): ChosenCalibration {
  checkForecasts("chooseCalibration", forecasts);
  const candidates = withIdentity(kinds).flatMap((kind): Candidate<CalibrationKind>[] =>
    kind === "dirichlet" ? DIRICHLET_RIDGES.map((ridge) => ({ kind, ridge })) : [{ kind }],
  );
  return choose(forecasts, dealFolds(new Uint8Array(forecasts.length), folds, random), candidates, {
    fit: (candidate, seen) => fitCalibration(candidate.kind, seen, candidate),
    loss: (calibration, unseen) =>
      negativeLogLikelihood(
        unseen.map(({ probabilities, label }) => ({
          probabilities: calibrate(calibration, probabilities),
          label,
        })),
      ),
  });
}

/**
 * As `chooseCalibration`, of verdicts, in folds with as many right ones each.
 * @throws RangeError as `fitConfidenceCalibration` does, or unless two are right and two wrong
 */
export function chooseConfidenceCalibration(
  kinds: readonly ConfidenceCalibration["kind"][],
  verdicts: readonly Verdict[],
  { folds, random }: CalibrationSearch,
): ChosenCalibration<ConfidenceCalibration> {
  checkVerdicts("chooseConfidenceCalibration", verdicts);
  const right = verdicts.map(({ correct }) => Number(correct));
  const candidates = withIdentity(kinds).map((kind) => ({ kind }));
  return choose(verdicts, dealFolds(right, folds, random), candidates, {
    fit: ({ kind }, seen) => fitConfidenceCalibration(kind, seen),
    loss: (calibration, unseen) =>
      binaryNegativeLogLikelihood(
        unseen.map(({ confidence, correct }) => ({
          confidence: calibrateConfidence(calibration, confidence),
          correct,
        })),
      ),
  });
}

interface Candidate<Kind> {
  readonly kind: Kind;
  readonly ridge?: number;
}

function withIdentity<Kind extends CalibrationKind>(kinds: readonly Kind[]): (Kind | "identity")[] {
  return ["identity", ...kinds.filter((kind) => kind !== "identity")];
}

function choose<Example, Found extends Calibration>(
  examples: readonly Example[],
  folds: Int32Array,
  candidates: readonly Candidate<Found["kind"]>[],
  ways: {
    fit: (candidate: Candidate<Found["kind"]>, examples: readonly Example[]) => Found;
    /** Mean over the examples. */
    loss: (calibration: Found, examples: readonly Example[]) => number;
  },
): ChosenCalibration<Found> {
  const count = folds.reduce((a, b) => Math.max(a, b)) + 1;
  const losses = candidates.map((candidate) => {
    let loss = 0;
    for (let out = 0; out < count; out++) {
      const unseen = examples.filter((_, i) => folds[i] === out);
      const calibration = ways.fit(
        candidate,
        examples.filter((_, i) => folds[i] !== out),
      );
      loss += (ways.loss(calibration, unseen) * unseen.length) / examples.length;
    }
    return { ...candidate, loss };
  });
  const best = losses.reduce((a, b) => (b.loss < a.loss ? b : a));
  return { calibration: ways.fit(best, examples), losses };
}

type Feature = (probability: number) => number;

/** Each option's features, the option that came true the right one. */
function optionSets(forecasts: readonly Forecast[], features: readonly Feature[]): ChoiceSets {
  const rows = forecasts.flatMap(({ probabilities }) =>
    probabilities.flatMap((p) => features.map((feature) => feature(p))),
  );
  const counts = forecasts.map(({ probabilities }) => probabilities.length);
  return {
    features: matrixFrom(
      counts.reduce((a, b) => a + b),
      features.length,
      rows,
    ),
    counts,
    labels: forecasts.map(({ label }) => label),
  };
}

/** Wrong, with features 0, and right, with the confidence's features, as options. */
function verdictSets(verdicts: readonly Verdict[], features: readonly Feature[]): ChoiceSets {
  const rows = verdicts.flatMap(({ confidence }) => [
    ...features.map(() => 0),
    ...features.map((feature) => feature(confidence)),
  ]);
  return {
    features: matrixFrom(2 * verdicts.length, features.length, rows),
    counts: verdicts.map(() => 2),
    labels: verdicts.map(({ correct }) => Number(correct)),
  };
}

function fitTemperature(sets: ChoiceSets): { temperature: number } {
  const [steepness = 1] = fitConditionalLogit(sets, [RIDGE]);
  return { temperature: 1 / Math.min(STEEPEST, Math.max(1 / STEEPEST, steepness)) };
}

/** Of a and b, one that comes out below 0 is left out, and the rest fitted again, so that the map rises. */
function fitBeta(setsOf: (features: readonly Feature[]) => ChoiceSets): { a: number; b: number; c: number } {
  const features: Record<"a" | "b", Feature> = { a: safeLog, b: (p) => -safeLog(1 - p) };
  let names: readonly ("a" | "b")[] = ["a", "b"];
  for (;;) {
    const sets = setsOf(names.map((name) => features[name]));
    const found = fitConditionalLogit(
      sets,
      Array.from({ length: sets.features.columns }, () => RIDGE),
    );
    const falling = names.find((_, j) => found[j]! < 0);
    if (falling === undefined) {
      const valueOf = (name: "a" | "b"): number => Math.min(STEEPEST, found[names.indexOf(name)] ?? 0);
      return { a: valueOf("a"), b: valueOf("b"), c: found[names.length] ?? 0 };
    }
    names = names.filter((name) => name !== falling);
  }
}

function oneAgainstRest({ probabilities, label }: Forecast): Verdict[] {
  return probabilities.map((confidence, option) => ({ confidence, correct: option === label }));
}

function fitDirichlet(forecasts: readonly Forecast[], ridge: number): Calibration {
  const n = forecasts.length;
  const c = forecasts[0]!.probabilities.length;
  const other = forecasts.find(({ probabilities }) => probabilities.length !== c);
  if (other !== undefined || c < 2 || !(ridge > 0)) {
    throw new RangeError(
      `fitCalibration: dirichlet needs forecasts of one number of classes from 2 and a ridge above 0, got ${c} and ${other?.probabilities.length ?? c} classes and ${ridge}`,
    );
  }
  // A last feature of 1 stands for d, which is held back too.
  const features = matrixFrom(
    n,
    c + 1,
    forecasts.flatMap(({ probabilities }) => [...probabilities.map(safeLog), 1]),
  );
  const ridges = createMatrix(c + 1, c);
  const start = createMatrix(c + 1, c);
  for (let k = 0; k < c; k++) {
    for (let j = 0; j < c; j++) ridges.data[j * c + k] = (2 * n * ridge) / (c * (c - 1));
    ridges.data[k * c + k] = RIDGE;
    ridges.data[c * c + k] = (2 * n * ridge) / c;
    start.data[k * c + k] = 1;
  }
  const task: SoftmaxTask = {
    features,
    labels: forecasts.map(({ label }) => label),
    classes: c,
    intercept: false,
  };
  const preconditioner = createPreconditioner(scatterOf(task), task, ridges);
  const { weights } = fitSoftmax(task, preconditioner, DIRICHLET_TOLERANCE * n, {
    weights: start,
    intercepts: new Float64Array(c),
  });
  const columnOf = (k: number): number[] => Array.from({ length: c + 1 }, (_, j) => weights.data[j * c + k]!);
  const columns = Array.from({ length: c }, (_, k) => columnOf(k));
  return {
    kind: "dirichlet",
    weights: columns.map((column) => column.slice(0, c)),
    bias: columns.map((column) => column[c]!),
  };
}
