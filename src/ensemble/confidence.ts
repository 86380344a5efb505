import type {
  CalibrationSet,
  Confidence,
  ConfidenceGap,
  MemberLoss,
  Question,
  RawForecast,
} from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { AnswerOutcome } from "./answer.ts";
import type { ChoiceKind } from "./choice-calibration.ts";
import { judgeFingerprint } from "./fingerprint.ts";
import { LEAST_LIKENESS, likenessOf } from "./likeness.ts";
import { answerFeatures, judgeAnswer, MOST_TOKENS, promptState, type AnswerKind } from "./short-answers.ts";

/** What is known of how often answers are right, for the members and maps in use. */
export interface ConfidenceBook {
  readonly choices: readonly ChoiceKind[];
  readonly answers: readonly AnswerKind[];
}

export const NOTHING_CALIBRATED: ConfidenceBook = { choices: [], answers: [] };

/** The longest prompt that is compared with those a confidence was calibrated on, characters: they are single sentences. */
const LONGEST_PROMPT = 1000;

/** A confidence, and what it was calibrated from where it has a value. */
export interface ToldConfidence {
  readonly confidence: Confidence;
  readonly forecast: RawForecast | null;
}

/** What an answer is told to be calibrated on. @param recalibratedOn answers that feedback judged; absent: the set's own items */
export function calibrationOf(
  name: string,
  items: number,
  recalibratedOn: number | undefined,
): Pick<CalibrationSet, "name" | "items"> {
  if (recalibratedOn === undefined) return { name, items };
  return { name: `${name}, calibrated again on feedback`, items: recalibratedOn };
}

/** An answer and those who gave it. */
export interface Answered {
  readonly members: readonly LanguageModel[];
  /** Each one's loss on the way; null for those that were there to the end. */
  readonly losses: readonly (MemberLoss | null)[];
  readonly outcome: AnswerOutcome;
}

/**
 * How likely a free answer is to be right. Known for greedy answers of at most 16 tokens to plain texts like those of a
 * calibration set, and for nothing else.
 */
export async function confidenceInText(
  { answers }: ConfidenceBook,
  question: Question,
  { members, losses, outcome: { completionTokens, signals } }: Answered,
): Promise<ToldConfidence> {
  const { prompt, sampling } = question;
  if (prompt.kind !== "text")
    return unknown("form", "of free answers, only those to plain texts were calibrated");
  if (losses.some((loss) => loss !== null)) {
    return unknown(
      "member_lost",
      "of free answers, those in which every member had a part to the end were calibrated",
    );
  }
  if (signals.length === 0) return unknown("empty_answer", "the answer is empty");
  if (completionTokens > MOST_TOKENS) {
    return unknown(
      "long_answer",
      `of free answers, those of at most ${MOST_TOKENS} tokens were calibrated; this one has ${completionTokens}`,
    );
  }
  const { temperature, logitBias, frequencyPenalty, presencePenalty } = sampling;
  if (temperature !== 0 || logitBias.size > 0 || frequencyPenalty !== 0 || presencePenalty !== 0) {
    return unknown(
      "sampling",
      "of free answers, those at temperature 0 without bias or penalties were calibrated",
    );
  }
  const ids = members.map(({ info }) => info.id).join();
  const judged = answers.flatMap((kind) =>
    kind.judges.filter(({ memberIds }) => memberIds.join() === ids).map((judge) => ({ kind, judge })),
  );
  if (judged.length === 0) {
    return unknown(
      "nothing_calibrated",
      "no free answers of these members, with the maps in use, were calibrated",
    );
  }
  const unlike =
    "the text is not like any that a confidence was calibrated on: beginnings of sentences that state a fact";
  if (prompt.text === "" || prompt.text.length > LONGEST_PROMPT) return unknown("unlike", unlike);
  const state = await promptState(members, prompt.text, question.signal).catch((error: unknown) => {
    if (error instanceof GatewayError && error.code === "members_lost") return null;
    throw error;
  });
  if (state === null)
    return unknown(
      "member_lost",
      "a member was lost before the text was compared with those that were calibrated on",
    );
  const [nearest] = judged
    .map(({ kind, judge }) => ({ kind, judge, likeness: likenessOf(judge.likeness, state) }))
    .sort((a, b) => b.likeness - a.likeness);
  if (nearest === undefined || nearest.likeness < LEAST_LIKENESS) return unknown("unlike", unlike);
  const { kind, judge, likeness } = nearest;
  const { confidence, raw } = judgeAnswer(judge, answerFeatures(signals));
  return {
    confidence: {
      value: confidence,
      kind: "short_answer",
      calibration: { ...calibrationOf(kind.name, kind.calibrated, judge.recalibratedOn), likeness },
    },
    forecast: { by: await judgeFingerprint(judge), probabilities: [raw] },
  };
}

function unknown(gap: ConfidenceGap, reason: string): ToldConfidence {
  return { confidence: { value: null, gap, reason }, forecast: null };
}
