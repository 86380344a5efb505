import type { Confidence, Prompt, RawForecast } from "../ports/engine.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";
import { calibrationOf } from "./confidence.ts";
import { decideChoices, nearestKind, type ChoiceKind } from "./choice-calibration.ts";
import { optionProbabilities } from "./choice-head.ts";
import { perByte } from "./choice-features.ts";
import type { Ensemble } from "./ensemble.ts";
import { headFingerprint } from "./fingerprint.ts";
import { LEAST_LIKENESS } from "./likeness.ts";
import type { ChoiceContext, ChoiceQuestion } from "./option-tokens.ts";
import { BY_LOG_PROBABILITY } from "./row-names.ts";
import { createChoiceScorer, type ItemScores } from "./score-choices.ts";

/** What is made of a question's choices. */
export interface WeighedChoices {
  /** Together 1 (c); calibrated where `confidenceIn` has a value. */
  readonly probabilities: readonly number[];
  /** Indices; null where no coverage was asked for, or nothing can be promised. */
  readonly predictionSet: readonly number[] | null;
  /** What the probabilities were calibrated from; null where they are not. */
  readonly forecast: RawForecast | null;
  /** That this choice is the right one. */
  confidenceIn(choice: number): Confidence;
}

export interface WeighingOptions {
  /** What deciders were learned for; none: log-probabilities decide. */
  readonly kinds: readonly ChoiceKind[];
  /** Of the prediction set, in (0, 1); null for none. */
  readonly coverage: number | null;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Which choice is right: by the decider of the kind that the question is like; of no kind, by the answering log-probability
 * per byte, and then nobody knows how often that is right.
 * @param ensemble those who decide: all its members together, or one alone
 * @throws GatewayError context_length_exceeded when a choice with its context is too long for a member
 */
export async function weighChoices(
  ensemble: Ensemble,
  question: ChoiceQuestion,
  { kinds, coverage, signal }: WeighingOptions,
): Promise<WeighedChoices> {
  const memberIds = ensemble.members.map(({ info }) => info.id);
  const form = typeof question.context === "string" ? "text" : "chat";
  const scorer = createChoiceScorer(ensemble);
  try {
    const evidence = await scorer.score(question, { alone: true, together: false }, signal);
    const found = nearestKind(kinds, form, memberIds, evidence);
    if (found !== null && found.likeness >= LEAST_LIKENESS) {
      const { kind, decider, likeness } = found;
      const { probabilities, raw, set } = decideChoices(decider, evidence);
      const calibration = { ...calibrationOf(kind.name, kind.items, decider.recalibratedOn), likeness };
      return {
        probabilities,
        predictionSet: coverage === null ? null : set(coverage),
        forecast: { by: await headFingerprint(decider.head), probabilities: raw },
        confidenceIn: (choice) => ({ value: probabilities[choice] ?? 0, kind: "choice", calibration }),
      };
    }
    const together = memberIds.length > 1 && memberIds.length === ensemble.space.members.length;
    const scores = together ? await scorer.score(question, { alone: false, together }, signal) : evidence;
    const unknown = unknownFor(kinds, form, question.choices.length, found?.kind.name ?? null);
    return {
      probabilities: uncalibrated(scores),
      predictionSet: null,
      forecast: null,
      confidenceIn: () => unknown,
    };
  } finally {
    scorer.close();
  }
}

/** Softmax of ln P(choice) · (mean bytes of the choices) / bytes: of the fused answer, or the mean of the members'. */
function uncalibrated({ alone, together, bytes }: ItemScores): number[] {
  const fused = together.filter(({ name }) => name === BY_LOG_PROBABILITY);
  const rows = (fused.length > 0 ? fused : alone).map(({ logprobs }) =>
    optionProbabilities(perByte(logprobs, bytes)),
  );
  return bytes.map((_, c) => rows.reduce((sum, row) => sum + (row[c] ?? 0), 0) / rows.length);
}

function unknownFor(
  kinds: readonly ChoiceKind[],
  form: ChoiceKind["form"],
  choices: number,
  nearest: string | null,
): Confidence {
  if (nearest !== null) {
    const reason = `the question is not like any that a confidence was calibrated on; the least unlike are those of ${nearest}`;
    return { value: null, gap: "unlike", reason };
  }
  const known = kinds
    .filter((kind) => kind.form === form)
    .map(({ name, counts }) => `${name} with ${counts.join(" or ")} choices`);
  const asked = form === "chat" ? "asked in a chat" : "asked in a plain text";
  if (known.length === 0) {
    const reason = `nothing was calibrated on questions ${asked} for these members`;
    return { value: null, gap: "nothing_calibrated", reason };
  }
  const reason = `of questions ${asked}, a confidence was calibrated on ${known.join(", ")} alone; this one has ${choices}`;
  return { value: null, gap: "choices", reason };
}

/** The context of a prompt. @param tokenizer whose token ids a prompt of ids holds */
export function contextOf(prompt: Prompt, tokenizer: Tokenizer): ChoiceContext {
  if (prompt.kind === "chat") return prompt.messages;
  return prompt.kind === "text" ? prompt.text : tokenizer.decode(prompt.tokens);
}

/** The choices as they would go on after a context: after a text that ends in no space with one before them. */
export function spacedChoices(context: ChoiceContext, values: readonly string[]): string[] {
  const apart = typeof context !== "string" || context === "" || /\s$/u.test(context);
  return values.map((value) => (apart || /^\s/u.test(value) ? value : ` ${value}`));
}
