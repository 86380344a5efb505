import { checkProbabilities } from "./forecast.ts";

/*
 * Maps of probabilities to calibrated ones, as plain data. l_k = ln p_k.
 * identity: q = p.
 * temperature: q = softmax(l / T); of a confidence σ(logit p / T). Guo et al. 2017, eq. 9.
 * beta: q = softmax(a l_k − b ln(1 − p_k)), of any number of options, a and b shared by all; of a confidence
 *   σ(a ln p − b ln(1 − p) + c). Kull, Silva Filho & Flach 2017, eq. 3. Of two options it is a temperature.
 * isotonic: q_k ∝ f(p_k), f rising, from each option against the rest; of a confidence f(p). Zadrozny & Elkan 2002.
 * dirichlet: q = softmax(W l + d), of one fixed number of classes. Kull et al. 2019, eq. 3.
 */
export type Calibration =
  | { readonly kind: "identity" }
  | { readonly kind: "temperature"; readonly temperature: number }
  | { readonly kind: "beta"; readonly a: number; readonly b: number; readonly c: number }
  /** f goes linearly through the points (x, y), x ascending, y not falling, and is flat outside. */
  | { readonly kind: "isotonic"; readonly x: readonly number[]; readonly y: readonly number[] }
  /** W (c, c) by rows, d (c). */
  | {
      readonly kind: "dirichlet";
      readonly weights: readonly (readonly number[])[];
      readonly bias: readonly number[];
    };

export type CalibrationKind = Calibration["kind"];

/** Calibrations of a single confidence. */
export type ConfidenceCalibration = Exclude<Calibration, { kind: "dirichlet" }>;

/** Logarithms are taken of probabilities no nearer to 0 and 1 than this. */
const LEAST_PROBABILITY = 1e-12;

/**
 * Calibrated probabilities (c) of c options, together 1. Temperature and beta keep the options' order; isotonic may make
 * neighbours equal.
 * @throws RangeError when a probability is outside [0, 1], or c is not what a dirichlet calibration is for
 */
export function calibrate(calibration: Calibration, probabilities: readonly number[]): number[] {
  checkProbabilities("calibrate", probabilities);
  switch (calibration.kind) {
    case "identity":
      return normalise(probabilities);
    case "temperature":
      return softmaxOf(probabilities.map((p) => safeLog(p) / calibration.temperature));
    case "beta":
      return softmaxOf(probabilities.map((p) => calibration.a * safeLog(p) - calibration.b * safeLog(1 - p)));
    case "isotonic":
      return normalise(probabilities.map((p) => interpolate(calibration.x, calibration.y, p)));
    case "dirichlet":
      return dirichlet(calibration, probabilities);
  }
}

/**
 * The calibrated probability that an answer is right, from its confidence, by a map fitted on verdicts.
 * @throws RangeError when the confidence is outside [0, 1]
 */
export function calibrateConfidence(calibration: ConfidenceCalibration, confidence: number): number {
  checkProbabilities("calibrateConfidence", [confidence]);
  const l = safeLog(confidence);
  const rest = safeLog(1 - confidence);
  switch (calibration.kind) {
    case "identity":
      return confidence;
    case "temperature":
      return sigmoid((l - rest) / calibration.temperature);
    case "beta":
      return sigmoid(calibration.a * l - calibration.b * rest + calibration.c);
    case "isotonic":
      return interpolate(calibration.x, calibration.y, confidence);
  }
}

/** ln p, and where p is all but 0 that of the least probability that counts. */
export function safeLog(p: number): number {
  return Math.log(Math.max(p, LEAST_PROBABILITY));
}

function dirichlet(
  { weights, bias }: Extract<Calibration, { kind: "dirichlet" }>,
  probabilities: readonly number[],
): number[] {
  if (probabilities.length !== bias.length) {
    throw new RangeError(
      `calibrate: this dirichlet calibration is for ${bias.length} classes, got ${probabilities.length} probabilities`,
    );
  }
  const logs = probabilities.map(safeLog);
  return softmaxOf(bias.map((d, k) => weights[k]!.reduce((sum, w, j) => sum + w * logs[j]!, d)));
}

function softmaxOf(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  return normalise(scores.map((score) => Math.exp(score - largest)));
}

/** Shares of the sum; even ones where all are 0. */
function normalise(values: readonly number[]): number[] {
  const sum = values.reduce((a, b) => a + b, 0);
  return values.map((value) => (sum > 0 ? value / sum : 1 / values.length));
}

function sigmoid(score: number): number {
  return 1 / (1 + Math.exp(-score));
}

/** Through the points (x, y), x ascending; flat outside. */
function interpolate(x: readonly number[], y: readonly number[], at: number): number {
  const above = x.findIndex((value) => value >= at);
  if (above < 0) return y.at(-1)!;
  if (above === 0 || x[above] === at) return y[above]!;
  const share = (at - x[above - 1]!) / (x[above]! - x[above - 1]!);
  return y[above - 1]! + share * (y[above]! - y[above - 1]!);
}
