import type { Random } from "../linalg/random.ts";

/**
 * The fold (from 0) of each of n labelled items, drawn so that every label has about its share in every fold. Of `folds`
 * no more are used than there are items. Each label is also in what remains when any one fold is taken out.
 * @throws RangeError when `folds` is no whole number from 2, or a label has a single item
 */
export function dealFolds(labels: ArrayLike<number>, folds: number, random: Random): Int32Array {
  if (!Number.isInteger(folds) || folds < 2) {
    throw new RangeError(`dealFolds: expected a whole number of folds from 2, got ${folds}`);
  }
  const n = labels.length;
  // The sort is stable, so a label's items stay in random order, and dealing them in turn parts each label evenly.
  const order = random
    .shuffle(Array.from({ length: n }, (_, i) => i))
    .sort((i, j) => labels[i]! - labels[j]!);
  const fold = new Int32Array(n);
  for (const [place, item] of order.entries()) {
    const label = labels[item];
    if (labels[order[place - 1] ?? -1] !== label && labels[order[place + 1] ?? -1] !== label) {
      throw new RangeError(`dealFolds: label ${label} has a single item; cross-validation needs two of each`);
    }
    fold[item] = place % Math.min(folds, n);
  }
  return fold;
}
