import { decideByHead, type ChoiceHead } from "./choice-head.ts";
import { perByte } from "./choice-features.ts";
import { ENSEMBLE_ID } from "./engine.ts";
import type { ChoiceItem } from "./option-tokens.ts";
import { BY_LOG_PROBABILITY, MEAN_OF_PROBABILITIES, throughSharedSpace, withHead } from "./row-names.ts";
import type { ItemScores } from "./score-choices.ts";

/** An item with what every way of predicting says about its choices. */
export interface ScoredItem {
  readonly item: ChoiceItem;
  readonly scores: ItemScores;
}

/**
 * What the log-probability of a choice counts as. `none`: itself. `bytes`: per byte of the choice, times the mean bytes of
 * the item's choices, so that it stays a number of nats.
 */
export type Normalisation = "none" | "bytes";

/** A way to decide items. */
export interface ChoiceWay {
  readonly name: string;
  /** Null where there is none of its own. */
  readonly normalisation: Normalisation | null;
  isRight(scored: ScoredItem): boolean;
}

/** Decisions learned from items for which the right choice is known. */
export interface LearnedHeads {
  /** From each member's scores and states alone (m). */
  readonly members: readonly ChoiceHead[];
  /** From those of all members. */
  readonly ensemble: ChoiceHead;
}

export interface ChoiceWays {
  readonly ways: readonly ChoiceWay[];
  /** Id of the member with the highest accuracy on the choosing items, the first among equals. */
  readonly bestMember: string;
}

export const MAJORITY_VOTE = "majority vote";
export const BEST_MEMBER = "best member";
export const ORACLE = "oracle: some member is right";

/** A decision and how clear it was. */
interface Decision {
  readonly choice: number;
  /** Best less second-best normalised log-probability, nats. */
  readonly margin: number;
}

/**
 * All ways that are compared: every member alone and through the shared space, the mean of their probabilities, the
 * majority vote of the members alone, the best of them, whether any of them is right, and the ensemble: what was learned
 * for it beside its fused log-probabilities, or those where nothing was learned.
 * @param memberIds the anchor first
 * @param choosing items on which `auto` picks each way's normalisation, and the best member is picked
 */
export function choiceWays(
  memberIds: readonly string[],
  choosing: readonly ScoredItem[],
  { normalise, heads }: { normalise: Normalisation | "auto"; heads: LearnedHeads | null },
): ChoiceWays {
  const scored = (name: string): ScoredWay => {
    const normalisation = normalise === "auto" ? pickNormalisation(name, choosing) : normalise;
    return scoredWay(name, normalisation);
  };
  const alone = memberIds.map(scored);
  const best = alone.reduce((top, way) =>
    countRight(way, choosing) > countRight(top, choosing) ? way : top,
  );
  const ways: ChoiceWay[] = [
    ...alone,
    ...memberIds.map((id) => scored(throughSharedSpace(id))),
    scored(MEAN_OF_PROBABILITIES),
    {
      name: MAJORITY_VOTE,
      normalisation: null,
      isRight: (at) => majorityVote(alone.map((way) => way.decide(at))) === at.item.label,
    },
    { name: BEST_MEMBER, normalisation: best.normalisation, isRight: best.isRight },
    { name: ORACLE, normalisation: null, isRight: (at) => alone.some((way) => way.isRight(at)) },
    ...(heads === null
      ? [{ ...scored(BY_LOG_PROBABILITY), name: ENSEMBLE_ID }]
      : [
          ...memberIds.flatMap((id, m) => headWay(withHead(id), heads.members[m])),
          scored(BY_LOG_PROBABILITY),
          ...headWay(ENSEMBLE_ID, heads.ensemble),
        ]),
  ];
  return { ways, bestMember: best.name };
}

interface ScoredWay extends ChoiceWay {
  decide(scored: ScoredItem): Decision;
}

function headWay(name: string, head: ChoiceHead | undefined): ChoiceWay[] {
  if (head === undefined) return [];
  return [{ name, normalisation: null, isRight: (at) => decideByHead(head, at.scores) === at.item.label }];
}

function scoredWay(name: string, normalisation: Normalisation): ScoredWay {
  const decideItem = ({ scores, item }: ScoredItem): Decision => {
    const row = [...scores.alone, ...scores.together].find((candidate) => candidate.name === name);
    if (row === undefined) throw new Error(`${item.id}: no scores of ${name}`);
    return decide(row.logprobs, scores.bytes, normalisation);
  };
  return {
    name,
    normalisation,
    decide: decideItem,
    isRight: (scored) => decideItem(scored).choice === scored.item.label,
  };
}

/** The likelier of the two on the choosing items; `none` where they are equal or there are no items. */
function pickNormalisation(name: string, choosing: readonly ScoredItem[]): Normalisation {
  const plain = countRight(scoredWay(name, "none"), choosing);
  return countRight(scoredWay(name, "bytes"), choosing) > plain ? "bytes" : "none";
}

function countRight(way: ChoiceWay, items: readonly ScoredItem[]): number {
  return items.filter(way.isRight).length;
}

/** The choice with the highest normalised log-probability, the first among equals. */
function decide(
  logprobs: readonly number[],
  bytes: readonly number[],
  normalisation: Normalisation,
): Decision {
  const scores = normalisation === "none" ? logprobs : perByte(logprobs, bytes);
  const [first = 0, second = 0] = scores.toSorted((a, b) => b - a);
  return { choice: scores.indexOf(first), margin: first - second };
}

/**
 * The choice most members decided for; among choices with equally many, the one with the clearest single decision, the
 * first where those are equal. With two members that is the clearer of two.
 */
function majorityVote(decisions: readonly Decision[]): number {
  const votes = new Map<number, { count: number; margin: number }>();
  for (const { choice, margin } of decisions) {
    const so = votes.get(choice) ?? { count: 0, margin: 0 };
    votes.set(choice, { count: so.count + 1, margin: Math.max(so.margin, margin) });
  }
  const ranked = [...votes].toSorted(([, a], [, b]) => b.count - a.count || b.margin - a.margin);
  return ranked[0]?.[0] ?? -1;
}
