import { createRandom } from "../linalg/random.ts";
import { mcnemarTest } from "../stats/mcnemar.ts";
import { pairedBootstrap } from "../stats/paired-bootstrap.ts";
import { wilsonInterval, type Interval } from "../stats/proportion.ts";
import { learnHeads } from "./choice-head.ts";
import {
  BEST_MEMBER,
  choiceWays,
  type ChoiceWay,
  type ChoiceWays,
  type Normalisation,
  type ScoredItem,
} from "./choice-ways.ts";

/** Two ways on the same items. */
export interface PairedComparison {
  /** Accuracy of the first less accuracy of the second. */
  readonly difference: number;
  /** Of the difference: paired bootstrap over items, 95 %. */
  readonly interval: Interval;
  /** Items at which only the first, or only the second, was right. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
  /** Exact McNemar test. */
  readonly p: number;
}

export interface ChoiceReportRow {
  readonly name: string;
  readonly normalisation: Normalisation | null;
  readonly right: number;
  /** right / items. */
  readonly accuracy: number;
  /** Wilson, 95 %. */
  readonly interval: Interval;
  /** Null for the best member itself. */
  readonly versusBest: PairedComparison | null;
}

export interface ChoiceReport {
  readonly items: number;
  /** Items on which normalisation and best member were picked; 0: there were none, and the items told were used. */
  readonly choosingItems: number;
  /** Whether some of those are among the items told: accuracies are then a little too high. */
  readonly pickedOnTold: boolean;
  /** Items that decisions were learned from; 0: there were none besides those told, and nothing was learned. */
  readonly learnedItems: number;
  readonly bestMember: string;
  readonly rows: readonly ChoiceReportRow[];
}

/** Scored items by what they are used for. */
export interface SplitItems {
  /** Items that numbers are told of. */
  readonly told: readonly ScoredItem[];
  /** Items for picking between ways to decide. */
  readonly choosing: readonly ScoredItem[];
  /** Items to learn decisions from, together with `choosing`; none of either is told where there are any. */
  readonly fit: readonly ScoredItem[];
}

export interface WaysOptions {
  /** The anchor first. */
  readonly memberIds: readonly string[];
  readonly normalise: Normalisation | "auto";
}

export interface ChoiceReportOptions extends WaysOptions {
  /** Of the bootstrap. */
  readonly seed: number;
}

/** Resamples of the bootstrap: the ends of an interval then stand to about 1 % of its width. */
export const RESAMPLES = 10_000;

/** How well every way decides `told`; what has to be picked is picked on `choosing`. @throws RangeError when nothing is told */
export function reportChoices(items: SplitItems, options: ChoiceReportOptions): ChoiceReport {
  const { told, choosing } = items;
  const { seed } = options;
  const { ways, bestMember, learnedItems } = waysFor(items, options);
  const toldItems = new Set(told.map(({ item }) => item));
  const best = ways.find((way) => way.name === BEST_MEMBER);
  return {
    items: told.length,
    choosingItems: choosing.length,
    pickedOnTold: choosing.length === 0 || choosing.some(({ item }) => toldItems.has(item)),
    learnedItems,
    bestMember,
    rows: ways.map((way) => {
      const right = told.filter(way.isRight).length;
      const isBest = way.name === bestMember || way.name === BEST_MEMBER;
      return {
        name: way.name,
        normalisation: way.normalisation,
        right,
        accuracy: right / told.length,
        interval: wilsonInterval(right, told.length),
        versusBest: isBest || best === undefined ? null : compareWays(way, best, told, seed),
      };
    }),
  };
}

/**
 * Ways picked on `choosing`, and learned where there is something to learn from. Without items to choose on length is not
 * normalised, and the best member is the one best on `told`.
 */
export function waysFor(
  { told, choosing, fit }: SplitItems,
  { memberIds, normalise }: WaysOptions,
): ChoiceWays & { readonly learnedItems: number } {
  const heads = fit.length > 0 && choosing.length > 0 ? learnHeads(memberIds, fit, choosing) : null;
  const learnedItems = heads?.ensemble.items ?? 0;
  if (choosing.length > 0) return { ...choiceWays(memberIds, choosing, { normalise, heads }), learnedItems };
  const fixed = normalise === "auto" ? "none" : normalise;
  return { ...choiceWays(memberIds, told, { normalise: fixed, heads }), learnedItems };
}

/** @throws RangeError when there are no items */
export function compareWays(
  first: ChoiceWay,
  second: ChoiceWay,
  items: readonly ScoredItem[],
  seed: number,
): PairedComparison {
  const differences = items.map((item) => Number(first.isRight(item)) - Number(second.isRight(item)));
  const onlyFirst = differences.filter((difference) => difference > 0).length;
  const onlySecond = differences.filter((difference) => difference < 0).length;
  const sizes = differences.map(() => 1);
  return {
    difference: (onlyFirst - onlySecond) / items.length,
    interval: pairedBootstrap(differences, sizes, { random: createRandom(seed), resamples: RESAMPLES }),
    onlyFirst,
    onlySecond,
    p: mcnemarTest(onlyFirst, onlySecond),
  };
}
