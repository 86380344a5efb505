import type { Random } from "../linalg/random.ts";
import { calibrate, type Calibration } from "../stats/calibration.ts";
import { fitConformal, predictionSet, type ConformalRule } from "../stats/conformal.ts";
import { chooseCalibration } from "../stats/fit-calibration.ts";
import type { Forecast } from "../stats/forecast.ts";
import type { OptionEvidence } from "./choice-features.ts";
import { headProbabilities, learnChoiceHead, type ChoiceHead } from "./choice-head.ts";
import type { ScoredItem } from "./choice-ways.ts";
import { fitLikeness, likenessOf, type Likeness } from "./likeness.ts";

/** How some of the members decide questions of one kind together, and how sure they may be of it. Plain data. */
export interface ChoiceDecider {
  readonly head: ChoiceHead;
  /** Of the head's probabilities. */
  readonly calibration: Calibration;
  /** Over the head's own probabilities. */
  readonly conformal: ConformalRule;
  readonly likeness: Likeness;
  /** Answers that calibration and prediction sets were fitted on again, from feedback; absent: on the kind's items. */
  readonly recalibratedOn?: number | undefined;
}

/** Questions of one kind, and who can decide them. */
export interface ChoiceKind {
  /** Of the set: piqa; of its questions put as a chat: piqa, asked in a chat. */
  readonly name: string;
  readonly form: "text" | "chat";
  /** How many choices a question has, ascending. */
  readonly counts: readonly number[];
  /** Items that heads were learned from; confidences were calibrated on what heads of the others foresaw of each. */
  readonly items: number;
  /** One for all members and one for each alone; each names its members. */
  readonly deciders: readonly ChoiceDecider[];
}

/** Every fourth item is kept for choosing how far a head is held back. */
const CHOOSING_SHARE = 4;
const FOLDS = 5;
/** No class has a place of its own among choices, so none is calibrated by its place; isotonic would make some of them equal. */
export const CHOICE_CALIBRATIONS = ["identity", "temperature", "beta"] as const;

/**
 * A head from all items, and what its probabilities are worth: for each of five folds a head of the others foresees the items
 * that it has not seen, and on these forecasts the calibration and the prediction sets are fitted (cross-conformal
 * prediction, Vovk 2015: covers about what is asked for, where a split would do so exactly and with a quarter of the items).
 * Cost of six heads. @throws Error when there are too few items
 */
export function fitChoiceDecider(
  memberIds: readonly string[],
  items: readonly ScoredItem[],
  random: Random,
): ChoiceDecider {
  const order = random.shuffle(Array.from(items.keys()));
  const dealt = order.flatMap((i) => items.slice(i, i + 1));
  const forecasts = Array.from({ length: FOLDS }, (_, out) => {
    const head = headOf(
      memberIds,
      dealt.filter((__, i) => i % FOLDS !== out),
    );
    return dealt
      .filter((__, i) => i % FOLDS === out)
      .map(({ item, scores }): Forecast => ({
        probabilities: headProbabilities(head, scores),
        label: item.label,
      }));
  }).flat();
  const states = dealt.map(({ scores }) => questionState(scores, memberIds));
  const isHeld = (_: Float32Array, i: number): boolean => i % FOLDS === 0;
  return {
    head: headOf(memberIds, dealt),
    calibration: chooseCalibration(CHOICE_CALIBRATIONS, forecasts, { folds: FOLDS, random }).calibration,
    conformal: fitConformal({ kind: "lac" }, forecasts),
    likeness: fitLikeness(
      states.filter((state, i) => !isHeld(state, i)),
      states.filter(isHeld),
    ),
  };
}

function headOf(memberIds: readonly string[], items: readonly ScoredItem[]): ChoiceHead {
  return learnChoiceHead(
    memberIds,
    items.filter((_, i) => i % CHOOSING_SHARE !== 0),
    items.filter((_, i) => i % CHOOSING_SHARE === 0),
  );
}

/** What a decider says of one question. */
export interface DecidedChoices {
  /** Calibrated, together 1 (c). */
  readonly probabilities: readonly number[];
  /** The head's own (c). */
  readonly raw: readonly number[];
  /** Indices of the choices that the right one is among with the coverage asked for. */
  set(coverage: number): number[];
}

/** @throws Error when evidence of one of the decider's members is missing */
export function decideChoices(decider: ChoiceDecider, evidence: OptionEvidence): DecidedChoices {
  const own = headProbabilities(decider.head, evidence);
  return {
    probabilities: calibrate(decider.calibration, own),
    raw: own,
    set: (coverage) => predictionSet(decider.conformal, own, coverage),
  };
}

/** A kind that a question is like, and who decides it. */
export interface LikeKind {
  readonly kind: ChoiceKind;
  readonly decider: ChoiceDecider;
  readonly likeness: number;
}

/**
 * The kind of which a question would be the least unusual one, for exactly these members; null where none has its form, as
 * many choices and these members.
 */
export function nearestKind(
  kinds: readonly ChoiceKind[],
  form: ChoiceKind["form"],
  memberIds: readonly string[],
  evidence: OptionEvidence,
): LikeKind | null {
  const candidates = kinds
    .filter((kind) => kind.form === form && kind.counts.includes(evidence.bytes.length))
    .flatMap((kind) => {
      const decider = kind.deciders.find(({ head }) => head.memberIds.join() === memberIds.join());
      return decider === undefined ? [] : [{ kind, decider }];
    });
  if (candidates.length === 0) return null;
  const state = questionState(evidence, memberIds);
  return candidates
    .map(({ kind, decider }): LikeKind => ({
      kind,
      decider,
      likeness: likenessOf(decider.likeness, state),
    }))
    .reduce<LikeKind | null>(
      (best, found) => (best !== null && best.likeness >= found.likeness ? best : found),
      null,
    );
}

/** The members' mean states over a question's choices, one member's after another's (Σ d). @throws Error when one is missing */
export function questionState({ alone }: OptionEvidence, memberIds: readonly string[]): Float32Array {
  return Float32Array.from(
    memberIds.flatMap((id) => {
      const states = alone.find(({ name }) => name === id)?.states;
      const first = states?.[0];
      if (states === undefined || first === undefined) throw new Error(`no states of ${id}`);
      return Array.from(
        first,
        (_, j) => states.reduce((sum, state) => sum + (state[j] ?? 0), 0) / states.length,
      );
    }),
  );
}
