import { checkForecasts, checkVerdicts, type Forecast, type Verdict } from "./forecast.ts";

/** What came true is taken to have had at least this probability, so that one 0 costs 36 nats and not everything. */
const LEAST_PROBABILITY = Number.EPSILON;

/** (1/n) Σ_i Σ_c (p_ic − [c = label_i])², in [0, 2]. Brier 1950. @throws RangeError on no forecasts or bad ones */
export function brierScore(forecasts: readonly Forecast[]): number {
  checkForecasts("brierScore", forecasts);
  return mean(forecasts, ({ probabilities, label }) =>
    probabilities.reduce((sum, p, c) => sum + (p - Number(c === label)) ** 2, 0),
  );
}

/**
 * (1/n) Σ_i (confidence_i − correct_i)², in [0, 1]: half of what `brierScore` gives for the two outcomes.
 * @throws RangeError on no verdicts or bad ones
 */
export function binaryBrierScore(verdicts: readonly Verdict[]): number {
  checkVerdicts("binaryBrierScore", verdicts);
  return mean(verdicts, ({ confidence, correct }) => (confidence - Number(correct)) ** 2);
}

/** −(1/n) Σ_i ln p_i,label, nats; a probability of 0 counts as 2^−52. @throws RangeError on no forecasts or bad ones */
export function negativeLogLikelihood(forecasts: readonly Forecast[]): number {
  checkForecasts("negativeLogLikelihood", forecasts);
  return mean(forecasts, ({ probabilities, label }) => surprise(probabilities[label]!));
}

/** −(1/n) Σ_i ln P(what the verdict was), nats; a probability of 0 counts as 2^−52. @throws RangeError on no verdicts or bad ones */
export function binaryNegativeLogLikelihood(verdicts: readonly Verdict[]): number {
  checkVerdicts("binaryNegativeLogLikelihood", verdicts);
  return mean(verdicts, ({ confidence, correct }) => surprise(correct ? confidence : 1 - confidence));
}

function surprise(probability: number): number {
  return -Math.log(Math.max(probability, LEAST_PROBABILITY));
}

function mean<Unit>(units: readonly Unit[], valueOf: (unit: Unit) => number): number {
  return units.reduce((sum, unit) => sum + valueOf(unit), 0) / units.length;
}
