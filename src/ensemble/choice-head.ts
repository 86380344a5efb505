import { fitStandardisation, standardise, type Standardisation } from "../alignment/cka.ts";
import { fitOptionSpace, projectOptions, type OptionSpace } from "../alignment/option-space.ts";
import { type Matrix, sideBySide } from "../linalg/matrix.ts";
import { multiplyVector } from "../linalg/product.ts";
import { choiceLogLoss, fitConditionalLogit, type ChoiceSets } from "../stats/conditional-logit.ts";
import { optionFeatures, type OptionEvidence } from "./choice-features.ts";
import type { LearnedHeads, ScoredItem } from "./choice-ways.ts";

/**
 * A decision that was learned, as plain data: an option's score is Σ_m a_m·l_m + Σ_m θ_m·x_m over the features of
 * choice-features.ts, and the softmax of an item's scores its probabilities.
 */
export interface ChoiceHead {
  /** Members it reads (m). */
  readonly memberIds: readonly string[];
  /** Items it was learned from. */
  readonly items: number;
  /** What was picked on the items to choose on. */
  readonly form: HeadForm;
  /** a: of each member's log-probability and that by bytes (2m), per nat. */
  readonly logprobWeights: readonly number[];
  /** θ_m of each member's states (m), (d_m) each; none where these are not read. */
  readonly stateWeights: readonly (readonly number[])[];
}

/** What a head reads, and how far it is held back. */
export interface HeadForm {
  /** λ of the log-probabilities. */
  readonly logprobRidge: number;
  /** λ of the shared states; null: only log-probabilities are read. */
  readonly stateRidge: number | null;
}

/** k: directions of the option space. Half of them decide a little worse, and all of two members' cost much more. */
const DIMENSION = 512;
const LOGPROB_RIDGES = [0.1, 1, 10, 100];
const STATE_RIDGES = [0.03, 0.1, 0.3, 1, 3];

/**
 * A head over one member or several: a conditional logit model of the right option, its features the members'
 * log-probabilities and the state that they share. Standardisation and shared space are of the fit items; of the ridges,
 * those whose weights of the fit items lose least on the choosing items are taken, first for log-probabilities alone,
 * then with states beside them, which may also be left out; the weights are then fitted on both.
 * Cost: 9(Σ d)³ for the space, and 10 fits. @throws Error when there are no items of either
 */
export function learnChoiceHead(
  memberIds: readonly string[],
  fit: readonly ScoredItem[],
  choosing: readonly ScoredItem[],
): ChoiceHead {
  if (fit.length === 0 || choosing.length === 0) {
    throw new Error(`a head needs items to fit and to choose on, got ${fit.length} and ${choosing.length}`);
  }
  const fitFeatures = optionFeatures(evidenceOf(fit), memberIds);
  const scale = fitStandardisation(fitFeatures.logprobs);
  const space = fitOptionSpace(fitFeatures.states, DIMENSION);
  const inputs = (items: readonly ScoredItem[]): HeadInputs => headInputs(items, memberIds, scale, space);
  const form = pickForm(inputs(fit), inputs(choosing));
  const weights = fitForm(inputs([...fit, ...choosing]), form);
  const count = 2 * memberIds.length;
  return {
    memberIds,
    items: fit.length + choosing.length,
    form,
    // The means that were taken off are the same for all options.
    logprobWeights: Array.from(scale.deviation, (spread, j) => (spread > 0 ? (weights[j] ?? 0) / spread : 0)),
    // θ·z = Σ_m (P_m θ)·x_m
    stateWeights:
      form.stateRidge === null
        ? []
        : space.projections.map((projection) =>
            Array.from(multiplyVector(projection, weights.subarray(count))),
          ),
  };
}

/**
 * Scores of an item's options (c), nats up to a constant of the item. Cost c Σ d.
 * @throws Error when a member's scores are not there, RangeError when its states are of another width
 */
export function headScores(head: ChoiceHead, evidence: OptionEvidence): number[] {
  const { logprobs, states } = optionFeatures([evidence], head.memberIds);
  const parts = [
    multiplyVector(logprobs, Float64Array.from(head.logprobWeights)),
    ...head.stateWeights.flatMap((own, m) =>
      states.slice(m, m + 1).map((x) => multiplyVector(x, Float64Array.from(own))),
    ),
  ];
  return evidence.bytes.map((_, c) => parts.reduce((sum, part) => sum + (part[c] ?? 0), 0));
}

/** P of each of an item's options by the head alone, not calibrated (c). @throws Error, RangeError as `headScores` does */
export function headProbabilities(head: ChoiceHead, evidence: OptionEvidence): number[] {
  return optionProbabilities(headScores(head, evidence));
}

/** exp(s_i) / Σ_j exp(s_j) of the options' scores (c), nats. */
export function optionProbabilities(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - largest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** The option with the highest score, the first among equals. */
export function decideByHead(head: ChoiceHead, evidence: OptionEvidence): number {
  const scores = headScores(head, evidence);
  return scores.indexOf(Math.max(...scores));
}

/** A head for every member alone, and one for all. */
export function learnHeads(
  memberIds: readonly string[],
  fit: readonly ScoredItem[],
  choosing: readonly ScoredItem[],
): LearnedHeads {
  return {
    members: memberIds.map((id) => learnChoiceHead([id], fit, choosing)),
    ensemble: learnChoiceHead(memberIds, fit, choosing),
  };
}

/** Features in the head's units. */
interface HeadInputs extends Pick<ChoiceSets, "counts" | "labels"> {
  /** (Σ c, 2m). */
  readonly logprobs: Matrix;
  /** z (Σ c, k). */
  readonly shared: Matrix;
}

function headInputs(
  items: readonly ScoredItem[],
  memberIds: readonly string[],
  scale: Standardisation,
  space: OptionSpace,
): HeadInputs {
  const { logprobs, states, counts } = optionFeatures(evidenceOf(items), memberIds);
  return {
    logprobs: standardise(logprobs, scale),
    shared: projectOptions(space, states),
    counts,
    labels: items.map(({ item }) => item.label),
  };
}

function evidenceOf(items: readonly ScoredItem[]): OptionEvidence[] {
  return items.map(({ scores }) => scores);
}

function pickForm(seen: HeadInputs, unseen: HeadInputs): HeadForm {
  const lossOf = (form: HeadForm): number => choiceLogLoss(setsOf(unseen, form), fitForm(seen, form));
  const alone = leastLoss(
    LOGPROB_RIDGES.map((logprobRidge) => ({ logprobRidge, stateRidge: null })),
    lossOf,
  );
  const { logprobRidge } = alone;
  const withStates = STATE_RIDGES.map((stateRidge) => ({ logprobRidge, stateRidge }));
  return leastLoss([alone, ...withStates], lossOf);
}

/** The first among equals. */
function leastLoss(forms: readonly HeadForm[], lossOf: (form: HeadForm) => number): HeadForm {
  const losses = forms.map(lossOf);
  const least = forms[losses.indexOf(Math.min(...losses))];
  if (least === undefined) throw new Error("a head's loss is no number on the items to choose on");
  return least;
}

function fitForm(inputs: HeadInputs, form: HeadForm): Float64Array {
  const sets = setsOf(inputs, form);
  const ridges = Array.from({ length: sets.features.columns }, (_, j) =>
    j < inputs.logprobs.columns ? form.logprobRidge : (form.stateRidge ?? 0),
  );
  return fitConditionalLogit(sets, ridges);
}

function setsOf({ logprobs, shared, counts, labels }: HeadInputs, { stateRidge }: HeadForm): ChoiceSets {
  return { features: stateRidge === null ? logprobs : sideBySide([logprobs, shared]), counts, labels };
}
