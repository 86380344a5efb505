import type { ChoiceProbabilities, Confidence, Question } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { ChoiceKind } from "./choice-calibration.ts";
import type { Ensemble } from "./ensemble.ts";
import { createSampler } from "./sampler.ts";
import { contextOf, spacedChoices, weighChoices } from "./weigh-choices.ts";

/** The choice that answers a question. */
export interface ChosenAnswer {
  /** Of its text, in the answering vocabulary. */
  readonly tokens: Int32Array;
  /** That it is the right one. */
  readonly confidence: Confidence;
  readonly choices: ChoiceProbabilities;
}

/** Who chooses. */
export interface Chooser {
  readonly ensemble: Ensemble;
  /** Whose tokens the answer is made of. */
  readonly vocabulary: LanguageModel;
}

/**
 * Weighs a question's choices and takes the most probable, or at a temperature above 0 draws one by their probabilities,
 * with top_k, top_p and min_p as for tokens. Null where the question has none.
 * @param random uniform numbers in [0, 1)
 * @throws GatewayError invalid_request when max_tokens is too small for a choice; context_length_exceeded
 */
export async function chooseAnswer(
  { prompt, format, sampling, demands, maxTokens, signal }: Question,
  { ensemble, vocabulary }: Chooser,
  { kinds, random }: { readonly kinds: readonly ChoiceKind[]; readonly random: () => number },
): Promise<ChosenAnswer | null> {
  if (format?.kind !== "choice") return null;
  const tokens = format.choices.map(({ text }) => vocabulary.tokenizer.encode(text).ids);
  const longest = Math.max(...tokens.map(({ length }) => length));
  if (maxTokens !== null && maxTokens < longest) {
    throw new GatewayError(
      "invalid_request",
      `max_tokens: expected room for every choice, the longest of which has ${longest} tokens, got ${maxTokens}`,
      { param: "max_tokens" },
    );
  }
  const context = contextOf(prompt, vocabulary.tokenizer);
  const values = format.choices.map(({ value }) => value);
  const { probabilities, predictionSet, confidenceIn } = await weighChoices(
    ensemble,
    { context, choices: spacedChoices(context, values) },
    { kinds, coverage: demands?.coverage ?? null, signal },
  );
  const chosen = createSampler(sampling, [], random).draw(Float32Array.from(probabilities, Math.log));
  return {
    tokens: tokens[chosen] ?? new Int32Array(0),
    confidence: confidenceIn(chosen),
    choices: { probabilities, predictionSet },
  };
}
