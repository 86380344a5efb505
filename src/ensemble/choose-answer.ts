import type { ChoiceProbabilities, Question } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { ChoiceKind } from "./choice-calibration.ts";
import type { ToldConfidence } from "./confidence.ts";
import type { Ensemble } from "./ensemble.ts";
import { createSampler } from "./sampler.ts";
import { contextOf, spacedChoices, weighChoices } from "./weigh-choices.ts";

/** The choice that answers a question. */
export interface ChosenAnswer extends ToldConfidence {
  /** Of its text, in the answering vocabulary. */
  readonly tokens: Int32Array;
  readonly choices: ChoiceProbabilities;
}

/** Who chooses. */
export interface Chooser {
  readonly ensemble: Ensemble;
  /** The members without which nothing is chosen. */
  readonly quorum: number;
  /** Whose tokens the answer is made of. */
  readonly vocabulary: LanguageModel;
}

/**
 * Weighs a question's choices and takes the most probable, or at a temperature above 0 draws one by their probabilities,
 * with top_k, top_p and min_p as for tokens. Null where the question has none. Members that are lost have no part in it:
 * the others choose as they were calibrated without them.
 * @param random uniform numbers in [0, 1)
 * @throws GatewayError invalid_request when max_tokens is too small for a choice; context_length_exceeded; members_lost
 * when fewer than the quorum are left
 */
export async function chooseAnswer(
  { prompt, choices, sampling, demands, maxTokens, signal }: Question,
  { ensemble, quorum, vocabulary }: Chooser,
  { kinds, random }: { readonly kinds: readonly ChoiceKind[]; readonly random: () => number },
): Promise<ChosenAnswer | null> {
  if (choices === undefined) return null;
  const tokens = choices.map(({ text }) => vocabulary.tokenizer.encode(text).ids);
  const longest = Math.max(...tokens.map(({ length }) => length));
  if (maxTokens !== null && maxTokens < longest) {
    throw new GatewayError(
      "invalid_request",
      `max_tokens: expected room for every choice, the longest of which has ${longest} tokens, got ${maxTokens}`,
      { param: "max_tokens" },
    );
  }
  const context = contextOf(prompt, vocabulary.tokenizer);
  const values = choices.map(({ value }) => value);
  const asked = { context, choices: spacedChoices(context, values) };
  const options = { kinds, coverage: demands?.coverage ?? null, signal };
  const { probabilities, predictionSet, forecast, confidenceIn } = await whoeverIsLeft(
    ensemble,
    quorum,
    (present) => weighChoices(present, asked, options),
  );
  const chosen = createSampler(sampling, [], random).draw(Float32Array.from(probabilities, Math.log));
  return {
    tokens: tokens[chosen] ?? new Int32Array(0),
    confidence: confidenceIn(chosen),
    forecast,
    choices: { chosen, probabilities, predictionSet },
  };
}

/** Asks all members, and where one is lost over it, all the others. */
async function whoeverIsLeft<T>(
  ensemble: Ensemble,
  quorum: number,
  ask: (present: Ensemble) => Promise<T>,
): Promise<T> {
  try {
    return await ask(ensemble);
  } catch (error) {
    if (!isLoss(error)) throw error;
    const [first, ...others] = ensemble.members.filter(canBeAsked);
    const left = others.length + 1;
    if (first === undefined || left === ensemble.members.length || left < quorum) throw error;
    return whoeverIsLeft({ ...ensemble, members: [first, ...others] }, quorum, ask);
  }
}

function canBeAsked(member: LanguageModel): boolean {
  try {
    member.openSequence().close();
    return true;
  } catch (error) {
    if (isLoss(error)) return false;
    throw error;
  }
}

function isLoss(error: unknown): boolean {
  return error instanceof GatewayError && error.code === "members_lost";
}
