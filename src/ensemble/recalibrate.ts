import type { Random } from "../linalg/random.ts";
import type { JudgedForecast } from "../ports/experiments.ts";
import { calibrate, calibrateConfidence } from "../stats/calibration.ts";
import { fitConformal } from "../stats/conformal.ts";
import { chooseCalibration, chooseConfidenceCalibration } from "../stats/fit-calibration.ts";
import type { Forecast, Verdict } from "../stats/forecast.ts";
import { binaryNegativeLogLikelihood, negativeLogLikelihood } from "../stats/proper-scores.ts";
import { CHOICE_CALIBRATIONS, type ChoiceDecider } from "./choice-calibration.ts";
import type { ConfidenceBook } from "./confidence.ts";
import { headFingerprint, judgeFingerprint } from "./fingerprint.ts";
import { ANSWER_CALIBRATIONS, type AnswerJudge } from "./short-answers.ts";

/** Fewer judged answers than these say too little: the standard error of a share is then above 5 points. */
export const LEAST_JUDGED = 100;
/** And so many of them right and so many wrong. */
const LEAST_OF_EACH = 10;
const FOLDS = 5;

/** What came of one decider or judge. */
export interface Recalibrated {
  readonly set: string;
  readonly memberIds: readonly string[];
  /** Answers that feedback judged and that could be used. */
  readonly judged: number;
  /** Mean −ln p of what came true, nats: as it was calibrated, and held out under the calibration from the log. Null: too few. */
  readonly before: number | null;
  readonly after: number | null;
  /** Whether the calibration is a new one: only one that loses less is. */
  readonly changed: boolean;
}

/**
 * A book whose calibrations are fitted again, on forecasts of live answers and what feedback said of them. Heads and judges
 * stay as they are; of a decider the prediction sets are fitted again with its calibration. A calibration from the log
 * replaces the old one where it loses less on judged answers that it was not fitted on (five folds), against the old one's
 * loss on all of them.
 *
 * Of two choices "not right" names the other; of more it does not, so that there only demonstrations count, whichever
 * answers they are about: to use the right ones alone would make every confidence too high. Feedback has to come for answers
 * whether or not they were right; nothing here can see that it does.
 */
export async function recalibrate(
  book: ConfidenceBook,
  forecasts: readonly JudgedForecast[],
  random: Random,
): Promise<{ readonly book: ConfidenceBook; readonly rows: readonly Recalibrated[] }> {
  const rows: Recalibrated[] = [];
  const by = (fingerprint: string): JudgedForecast[] =>
    forecasts.filter((forecast) => forecast.by === fingerprint);
  const choices = [];
  for (const kind of book.choices) {
    const deciders: ChoiceDecider[] = [];
    for (const decider of kind.deciders) {
      const own = by(await headFingerprint(decider.head)).flatMap(labelled);
      const found = recalibratedDecider(decider, own, random);
      deciders.push(found.fitted);
      rows.push({ ...found, set: kind.name, memberIds: decider.head.memberIds, judged: own.length });
    }
    choices.push({ ...kind, deciders });
  }
  const answers = [];
  for (const kind of book.answers) {
    const judges: AnswerJudge[] = [];
    for (const judge of kind.judges) {
      const own = by(await judgeFingerprint(judge)).flatMap(verdictOf);
      const found = recalibratedJudge(judge, own, random);
      judges.push(found.fitted);
      rows.push({ ...found, set: kind.name, memberIds: judge.memberIds, judged: own.length });
    }
    answers.push({ ...kind, judges });
  }
  return { book: { choices, answers }, rows };
}

interface Fitted<T> extends Pick<Recalibrated, "before" | "after" | "changed"> {
  readonly fitted: T;
}

function recalibratedDecider(
  decider: ChoiceDecider,
  own: readonly Forecast[],
  random: Random,
): Fitted<ChoiceDecider> {
  if (own.length < LEAST_JUDGED) return unchanged(decider);
  const before = negativeLogLikelihood(
    own.map(({ probabilities, label }) => ({
      probabilities: calibrate(decider.calibration, probabilities),
      label,
    })),
  );
  const { calibration, losses } = chooseCalibration(CHOICE_CALIBRATIONS, own, { folds: FOLDS, random });
  const after = Math.min(...losses.map(({ loss }) => loss));
  if (after >= before) return { fitted: decider, before, after, changed: false };
  const conformal = fitConformal({ kind: "lac" }, own);
  const fitted = { ...decider, calibration, conformal, recalibratedOn: own.length };
  return { fitted, before, after, changed: true };
}

function recalibratedJudge(judge: AnswerJudge, own: readonly Verdict[], random: Random): Fitted<AnswerJudge> {
  const right = own.filter(({ correct }) => correct).length;
  const fewest = Math.min(right, own.length - right);
  if (own.length < LEAST_JUDGED || fewest < LEAST_OF_EACH) return unchanged(judge);
  const before = binaryNegativeLogLikelihood(
    own.map(({ confidence, correct }) => ({
      confidence: calibrateConfidence(judge.calibration, confidence),
      correct,
    })),
  );
  const { calibration, losses } = chooseConfidenceCalibration(ANSWER_CALIBRATIONS, own, {
    folds: FOLDS,
    random,
  });
  const after = Math.min(...losses.map(({ loss }) => loss));
  if (after >= before) return { fitted: judge, before, after, changed: false };
  return { fitted: { ...judge, calibration, recalibratedOn: own.length }, before, after, changed: true };
}

function unchanged<T>(fitted: T): Fitted<T> {
  return { fitted, before: null, after: null, changed: false };
}

/** A forecast of which the right choice is known; none where it is not. */
function labelled({ probabilities, chosen, label, correct }: JudgedForecast): Forecast[] {
  if (label !== null) return [{ probabilities, label }];
  if (probabilities.length !== 2 || chosen === null || correct === null) return [];
  return [{ probabilities, label: correct ? chosen : 1 - chosen }];
}

function verdictOf({ probabilities: [confidence], correct }: JudgedForecast): Verdict[] {
  return confidence === undefined || correct === null ? [] : [{ confidence, correct }];
}
