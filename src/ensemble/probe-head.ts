import { createMatrix, matrixFrom, rowBlock, type Matrix } from "../linalg/matrix.ts";
import { multiplyNT } from "../linalg/product.ts";
import { createRandom } from "../linalg/random.ts";
import type { Probe, ProbeCalibration, ProbeMetrics } from "../ports/probe-store.ts";
import type { SpaceDepth } from "../ports/sentence-encoders.ts";
import { calibrate } from "../stats/calibration.ts";
import { fitCalibration } from "../stats/fit-calibration.ts";
import { topVerdict, type Forecast } from "../stats/forecast.ts";
import {
  chooseLogisticRegression,
  fitLogisticRegression,
  heldOutProbabilities,
  type ChosenLogistic,
  type LogisticModel,
} from "../stats/logistic-regression.ts";
import { negativeLogLikelihood } from "../stats/proper-scores.ts";
import { expectedCalibrationError } from "../stats/reliability.ts";
import { probabilitiesOfScores } from "../stats/softmax-regression.ts";
import { fitRidgeRegression, type ChosenRidge } from "../stats/ridge-regression.ts";

/** What each of n examples is: a class from 0, or a value. */
export type ProbeOutcomes =
  | {
      readonly task: "classification";
      readonly labels: readonly string[];
      readonly classes: readonly number[];
    }
  | { readonly task: "regression"; readonly values: readonly number[] };

export interface ProbeTraining {
  readonly members: readonly string[];
  /** r. */
  readonly dimension: number;
  /** By depth, the members' shared states, row-major (n, r) each; the depth is chosen among these. */
  readonly states: ReadonlyMap<SpaceDepth, readonly Float32Array[]>;
  readonly outcomes: ProbeOutcomes;
  /** λ; null: by cross-validation. */
  readonly ridge: number | null;
}

/** A probe but for its name and where it belongs. */
export type ProbeHead = Omit<Probe, "name" | "version" | "createdAt" | "space">;

const FOLDS = 5;
const SEED = 1;
/** λ of the classes' log-likelihood. */
const CLASS_RIDGES = [1, 3, 10, 30, 100, 300];
/** Where cross-validation cannot choose: strong, as is right for a few examples. */
const CLASS_RIDGE = 30;
/** λ of the squared error. */
const VALUE_RIDGES = [1, 10, 100, 1000, 10_000];
/** With fewer, a temperature would be fitted to chance. */
const LEAST_CALIBRATED = 50;
/** One number needs no more. */
const MOST_CALIBRATED = 5000;

/**
 * Learns a head on the members' mean state z̄ = (1/m) Σ z_k: logistic regression for classes, ridge regression for a
 * value. Depth and λ are those of the least held-out loss: five folds for classes, leave-one-out for a value; where a
 * class has a single example both are fixed and nothing is told of how good it is. Probabilities get a temperature for all
 * members, each alone, and all but each, from the same held-out examples: a mean of fewer states is larger.
 * @throws RangeError with fewer than two classes or values, or numbers that are not finite
 */
export function fitProbeHead(training: ProbeTraining, onProgress?: (share: number) => void): ProbeHead {
  const { outcomes } = training;
  return outcomes.task === "regression"
    ? fitValues(training, outcomes.values, onProgress)
    : fitClasses(training, outcomes, onProgress);
}

/** Scores W z + b (n, outputs) of states Z (n, r), row-major. Cost 2nrc. */
export function headScores(
  { weights, bias, dimension }: Pick<Probe, "weights" | "bias" | "dimension">,
  states: Float32Array,
): Matrix {
  const z = matrixFrom(states.length / dimension, dimension, states);
  const scores = multiplyNT(z, matrixFrom(bias.length, dimension, weights));
  for (let i = 0; i < scores.data.length; i++) scores.data[i]! += bias[i % bias.length]!;
  return scores;
}

/** The probability of each class (n, c), with the temperature that is right for those who read the texts, where one is known. */
export function headProbabilities(
  head: Pick<Probe, "weights" | "bias" | "dimension" | "labels" | "calibrations">,
  states: Float32Array,
  readers: readonly string[],
): { readonly probabilities: Matrix; readonly calibrated: boolean } {
  const probabilities = probabilitiesOfScores(headScores(head, states), head.labels.length);
  const calibration = head.calibrations.find(({ members }) => sameSet(members, readers));
  if (calibration === undefined) return { probabilities, calibrated: false };
  const { temperature } = calibration;
  for (let row = 0; row < probabilities.rows; row++) {
    const own = rowBlock(probabilities, row, 1).data;
    own.set(calibrate({ kind: "temperature", temperature }, Array.from(own)));
  }
  return { probabilities, calibrated: true };
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}

/** z̄ of states (n, r) of one or several members. */
export function meanStates(states: readonly Float32Array[]): Float32Array {
  const [first = new Float32Array(), ...others] = states;
  if (others.length === 0) return first;
  return first.map((x, at) => others.reduce((sum, other) => sum + other[at]!, x) / states.length);
}

type ClassOutcomes = Extract<ProbeOutcomes, { task: "classification" }>;

function fitClasses(
  { members, dimension, states, ridge }: ProbeTraining,
  { labels, classes }: ClassOutcomes,
  onProgress?: (share: number) => void,
): ProbeHead {
  const depths = [...states.keys()];
  const at = (depth: SpaceDepth) => ({
    features: rowsOf(meanStates(states.get(depth) ?? []), dimension),
    labels: classes,
    classes: labels.length,
  });
  const shared = { task: "classification" as const, labels, members, dimension, examples: classes.length };
  const counts = labels.map((_, label) => classes.filter((own) => own === label).length);
  if (Math.min(...counts) < 2) {
    const depth = depths[0]!;
    const used = ridge ?? CLASS_RIDGE;
    const model = fitLogisticRegression(at(depth), used);
    onProgress?.(1);
    return { ...shared, ...layOut(model), depth, ridge: used, metrics: null, calibrations: [] };
  }
  const tried = depths.map((depth, done) => ({
    depth,
    found: chooseLogisticRegression(at(depth), {
      ridges: ridge === null ? CLASS_RIDGES : [ridge],
      folds: FOLDS,
      random: createRandom(SEED),
      onProgress: (share) => onProgress?.((done + share) / depths.length),
    }),
  }));
  const { depth, found } = tried.reduce((a, b) =>
    Math.min(...b.found.losses) < Math.min(...a.found.losses) ? b : a,
  );
  const own = states.get(depth) ?? [];
  const forecastsOf = (through: readonly number[]): Forecast[] =>
    heldOutForecasts(found, rowsOf(meanStates(through.map((m) => own[m]!)), dimension), classes);
  const calibrations =
    classes.length < LEAST_CALIBRATED
      ? []
      : readersOf(members.length).map((through) =>
          temperatureOf(
            through.map((m) => members[m]!),
            forecastsOf(through),
          ),
        );
  const metrics = classMetrics(forecastsOf(Array.from(members.keys())), calibrations[0]?.temperature ?? 1, {
    folds: found.foldModels.length,
    majority: Math.max(...counts) / classes.length,
  });
  return { ...shared, ...layOut(found.model), depth, ridge: found.ridge, metrics, calibrations };
}

/** Who may read a text: all of m members, each alone, all but each. */
function readersOf(m: number): number[][] {
  const all = Array.from({ length: m }, (_, member) => member);
  if (m === 1) return [all];
  const without = m > 2 ? all.map((lost) => all.filter((member) => member !== lost)) : [];
  return [all, ...all.map((member) => [member]), ...without];
}

function heldOutForecasts(found: ChosenLogistic, features: Matrix, classes: readonly number[]): Forecast[] {
  const probabilities = heldOutProbabilities(found, features);
  return classes.map((label, i) => ({
    probabilities: Array.from(rowBlock(probabilities, i, 1).data),
    label,
  }));
}

function temperatureOf(members: readonly string[], forecasts: readonly Forecast[]): ProbeCalibration {
  const step = Math.ceil(forecasts.length / MOST_CALIBRATED);
  const some = forecasts.filter((_, i) => i % step === 0);
  const found = fitCalibration("temperature", some);
  return { members, temperature: found.kind === "temperature" ? found.temperature : 1 };
}

function classMetrics(
  forecasts: readonly Forecast[],
  temperature: number,
  { folds, majority }: { readonly folds: number; readonly majority: number },
): ProbeMetrics {
  const calibrated = forecasts.map(({ probabilities, label }) => ({
    probabilities: calibrate({ kind: "temperature", temperature }, probabilities),
    label,
  }));
  const verdicts = calibrated.map(topVerdict);
  return {
    task: "classification",
    folds,
    accuracy: verdicts.filter(({ correct }) => correct).length / verdicts.length,
    majority,
    logLoss: negativeLogLikelihood(calibrated),
    calibrationError: expectedCalibrationError(verdicts),
  };
}

function fitValues(
  { members, dimension, states, ridge }: ProbeTraining,
  values: readonly number[],
  onProgress?: (share: number) => void,
): ProbeHead {
  const depths = [...states.keys()];
  const tried = depths.map((depth, done) => {
    const features = rowsOf(meanStates(states.get(depth) ?? []), dimension);
    const found = fitRidgeRegression(features, values, ridge === null ? VALUE_RIDGES : [ridge]);
    onProgress?.((done + 1) / depths.length);
    return { depth, found };
  });
  const { depth, found } = tried.reduce((a, b) =>
    Math.min(...b.found.losses) < Math.min(...a.found.losses) ? b : a,
  );
  return {
    task: "regression",
    labels: [],
    members,
    depth,
    dimension,
    ridge: found.ridge,
    examples: values.length,
    metrics: valueMetrics(found, values),
    calibrations: [],
    weights: Float32Array.from(found.model.weights),
    bias: Float32Array.of(found.model.intercept),
  };
}

function valueMetrics({ heldOut }: ChosenRidge, values: readonly number[]): ProbeMetrics {
  const n = values.length;
  const mean = values.reduce((sum, y) => sum + y / n, 0);
  const error = values.reduce((sum, y, i) => sum + (y - heldOut[i]!) ** 2 / n, 0);
  const variance = values.reduce((sum, y) => sum + (y - mean) ** 2 / n, 0);
  return { task: "regression", folds: n, r2: 1 - error / variance, rmse: Math.sqrt(error) };
}

/** W (r, c) → row-major (c, r), in single precision. */
function layOut({ weights, intercepts }: LogisticModel): Pick<Probe, "weights" | "bias"> {
  const { rows: r, columns: c, data } = weights;
  const turned = createMatrix(c, r);
  for (let j = 0; j < r; j++) for (let k = 0; k < c; k++) turned.data[k * r + j] = data[j * c + k]!;
  return { weights: Float32Array.from(turned.data), bias: Float32Array.from(intercepts) };
}

function rowsOf(states: Float32Array, dimension: number): Matrix {
  return matrixFrom(states.length / dimension, dimension, states);
}
