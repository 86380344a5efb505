/** Probabilities of what may come, and what came. */
export interface Forecast {
  /** p (c), each in [0, 1], together 1. c may differ from forecast to forecast. */
  readonly probabilities: readonly number[];
  /** Which came true, from 0. */
  readonly label: number;
}

/** One answer's confidence, and whether the answer was right. */
export interface Verdict {
  /** In [0, 1]. */
  readonly confidence: number;
  readonly correct: boolean;
}

/** The verdict on a forecast's most probable outcome, the first among equals: its probability is the confidence. */
export function topVerdict({ probabilities, label }: Forecast): Verdict {
  const confidence = Math.max(...probabilities);
  return { confidence, correct: probabilities.indexOf(confidence) === label };
}

/** @throws RangeError when there is none, a probability is outside [0, 1], or a label is none of the outcomes */
export function checkForecasts(name: string, forecasts: readonly Forecast[]): void {
  if (forecasts.length === 0) throw new RangeError(`${name}: expected at least one forecast`);
  for (const [i, { probabilities, label }] of forecasts.entries()) {
    checkProbabilities(`${name}: forecast ${i}`, probabilities);
    if (!Number.isInteger(label) || label < 0 || label >= probabilities.length) {
      throw new RangeError(
        `${name}: forecast ${i} has ${probabilities.length} outcomes, and its label is ${label}`,
      );
    }
  }
}

/** @throws RangeError when there is none, or a confidence is outside [0, 1] */
export function checkVerdicts(name: string, verdicts: readonly Verdict[]): void {
  if (verdicts.length === 0) throw new RangeError(`${name}: expected at least one verdict`);
  const wrong = verdicts.findIndex(({ confidence }) => !isProbability(confidence));
  if (wrong >= 0) {
    throw new RangeError(
      `${name}: expected confidences in [0, 1], and number ${wrong} is ${verdicts[wrong]?.confidence}`,
    );
  }
}

/** @throws RangeError when there is none, or one is outside [0, 1] */
export function checkProbabilities(name: string, probabilities: readonly number[]): void {
  if (probabilities.length === 0 || !probabilities.every(isProbability)) {
    throw new RangeError(`${name}: expected probabilities in [0, 1], got [${probabilities.join(", ")}]`);
  }
}

function isProbability(value: number): boolean {
  return value >= 0 && value <= 1;
}
