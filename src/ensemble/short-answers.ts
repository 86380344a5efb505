import { fitStandardisation, standardise } from "../alignment/cka.ts";
import { matrixFrom } from "../linalg/matrix.ts";
import type { Random } from "../linalg/random.ts";
import { plainSampling } from "../ports/engine.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { calibrateConfidence, type ConfidenceCalibration } from "../stats/calibration.ts";
import { chooseConfidenceCalibration } from "../stats/fit-calibration.ts";
import type { Verdict } from "../stats/forecast.ts";
import { fitLogisticRegression } from "../stats/logistic-regression.ts";
import { generateAnswer } from "./answer.ts";
import { fitLikeness, type Likeness } from "./likeness.ts";
import { createPrefixReader } from "./prefix-reader.ts";
import type { Reading } from "./reading.ts";
import { createSampler, neverDrawn } from "./sampler.ts";
import { createTally, type PositionSignals } from "./tally.ts";

/**
 * Short answers whose rightness can be checked: a beginning of a sentence, gone on with greedily for at most
 * `MOST_TOKENS` tokens, is right where the text names the thing that is asked for. How likely that is, is told by
 *
 *   P(right) = calibration(σ(θ₀ + Σ_j θ_j x_j))
 *
 * over the features of `answerFeatures`. Plain data.
 */
export interface AnswerJudge {
  /** Who answered: all members, or one alone. */
  readonly memberIds: readonly string[];
  /** θ₀ and θ, in the features' own units (1 + j). */
  readonly weights: readonly number[];
  readonly calibration: ConfidenceCalibration;
  /** Of the prompts. */
  readonly likeness: Likeness;
  /** Answers that the calibration was fitted on again, from feedback; absent: on the kind's. */
  readonly recalibratedOn?: number | undefined;
}

/** Prompts of one kind, and how their answers are judged. */
export interface AnswerKind {
  readonly name: string;
  /** What the fused answers were made by, sha256 in hex; null: no answer was fused. */
  readonly space: string | null;
  readonly fitted: number;
  readonly calibrated: number;
  readonly judges: readonly AnswerJudge[];
}

/** The longest answer that was judged: the default of completions. */
export const MOST_TOKENS = 16;

/** An answer of which it is known whether it was right. */
export interface JudgedAnswer {
  /** See `answerFeatures`. */
  readonly features: readonly number[];
  readonly right: boolean;
  /** Of its prompt: see `promptState`. */
  readonly state: Float32Array;
}

const RIDGE = 1;
const FOLDS = 5;
export const ANSWER_CALIBRATIONS = ["identity", "temperature", "beta", "isotonic"] as const;

/**
 * ln p of the first token, the mean and the least ln p, the mean entropy; and where members were compared the mean
 * Jensen–Shannon divergence, the share of positions with one most likely token, and the mean distance of the states.
 */
export function answerFeatures(signals: readonly PositionSignals[]): number[] {
  const logprobs = signals.map(({ logprob }) => logprob);
  const own = [
    logprobs[0] ?? 0,
    mean(logprobs),
    Math.min(...logprobs),
    mean(signals.map(({ entropy }) => entropy)),
  ];
  const compared = signals.flatMap(({ disagreement }) => (disagreement === null ? [] : [disagreement]));
  if (compared.length === 0) return own;
  return [
    ...own,
    mean(compared.map(({ divergence }) => divergence)),
    mean(compared.map(({ sameTop }) => sameTop)),
    mean(compared.map(({ distance }) => distance)),
  ];
}

/** Features of disagreement alone, which a member by itself has not: these are the last ones. */
export const DISAGREEMENT_FEATURES = 3;

/** How a text goes on, always by the most likely token. */
export interface GreedyAnswer {
  readonly text: string;
  readonly signals: readonly PositionSignals[];
}

/** An answer of at most `MOST_TOKENS` tokens. @param reading of the prompt, by these members; it is not closed */
export async function answerGreedily(
  reading: Reading,
  [anchor, ...followers]: readonly [LanguageModel, ...LanguageModel[]],
  prompt: string,
): Promise<GreedyAnswer> {
  const { tokenizer } = anchor;
  const generating = generateAnswer({
    question: {
      requestId: "",
      model: "",
      endpoint: "completions",
      prompt: { kind: "text", text: prompt },
      maxTokens: MOST_TOKENS,
      stop: [],
      sampling: greedy,
      topLogprobs: null,
      echo: false,
    },
    reading,
    tokenizer,
    stops: [],
    maxTokens: MOST_TOKENS,
    atMost: "length",
    source: createSampler(greedy, neverDrawn(tokenizer), () => 0),
    tally: createTally([anchor, ...followers].map(({ info }) => ({ id: info.id, weight: 1 }))),
  });
  let step = await generating.next();
  while (!step.done) step = await generating.next();
  return step.value;
}

const greedy = { ...plainSampling, temperature: 0 };

/** Whether an answer names the thing, as whole words, whatever their case. */
export function names(answer: string, thing: string): boolean {
  return words(answer).includes(words(thing));
}

function words(text: string): string {
  const found = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return ` ${found.join(" ")} `;
}

/**
 * A logistic regression on `fit`, and what it is worth from `calibrating`, which it has not seen.
 * @throws Error when there are too few answers of either, or all of them are right, or wrong
 */
export function fitAnswerJudge(
  memberIds: readonly string[],
  fit: readonly JudgedAnswer[],
  calibrating: readonly JudgedAnswer[],
  random: Random,
): AnswerJudge {
  const weights = fitLogistic(fit);
  const verdicts = calibrating.map(({ features, right }): Verdict => ({
    confidence: logistic(weights, features),
    correct: right,
  }));
  return {
    memberIds,
    weights,
    calibration: chooseConfidenceCalibration(ANSWER_CALIBRATIONS, verdicts, { folds: FOLDS, random })
      .calibration,
    likeness: fitLikeness(
      fit.map(({ state }) => state),
      calibrating.map(({ state }) => state),
    ),
  };
}

/** P(right), and what it was before calibration. @throws RangeError for features other than the judge's */
export function judgeAnswer(
  judge: AnswerJudge,
  features: readonly number[],
): { readonly confidence: number; readonly raw: number } {
  const raw = logistic(judge.weights, features);
  return { confidence: calibrateConfidence(judge.calibration, raw), raw };
}

/** Each member's residual stream at half its depth, the mean over a text's tokens, one after another (Σ d). */
export async function promptState(
  members: readonly LanguageModel[],
  text: string,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const states = await Promise.all(
    members.map(async (member) => {
      const { info, tokenizer } = member;
      const sequence = member.openSequence();
      try {
        const reader = createPrefixReader(member, sequence, Math.round(info.layers / 2));
        await reader.read(tokenizer.encode(text).ids, signal);
        // The first is the state after the document start.
        const rows = reader.tapped.length > 1 ? reader.tapped.slice(1) : reader.tapped;
        return Array.from({ length: info.width }, (_, j) => mean(rows.map((row) => row[j] ?? 0)));
      } finally {
        sequence.close();
      }
    }),
  );
  return Float32Array.from(states.flat());
}

/** θ₀ + θ of P(right) = σ(θ₀ + θ·x), held back over standardised features (1 + j). */
function fitLogistic(answers: readonly JudgedAnswer[]): number[] {
  const count = answers[0]?.features.length ?? 0;
  const features = matrixFrom(
    answers.length,
    count,
    answers.flatMap((answer) => answer.features),
  );
  const scale = fitStandardisation(features);
  const { weights, intercepts } = fitLogisticRegression(
    {
      features: standardise(features, scale),
      labels: answers.map(({ right }) => Number(right)),
      classes: 2,
    },
    RIDGE,
  );
  const slopes = Array.from(scale.deviation, (deviation, j) =>
    deviation > 0 ? ((weights.data[2 * j + 1] ?? 0) - (weights.data[2 * j] ?? 0)) / deviation : 0,
  );
  const shift = slopes.reduce((sum, slope, j) => sum + slope * (scale.mean[j] ?? 0), 0);
  return [(intercepts[1] ?? 0) - (intercepts[0] ?? 0) - shift, ...slopes];
}

function logistic([intercept = 0, ...slopes]: readonly number[], features: readonly number[]): number {
  if (features.length !== slopes.length) {
    throw new RangeError(`an answer's judge reads ${slopes.length} features, got ${features.length}`);
  }
  const score = slopes.reduce((sum, slope, j) => sum + slope * (features[j] ?? 0), intercept);
  return 1 / (1 + Math.exp(-score));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
