import type { Verdict } from "./forecast.ts";

/** Points of a line that does not fall: x ascending. */
export interface IsotonicLine {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** Equal shares of right answers over confidences from `first` to `last`. */
interface Block {
  readonly first: number;
  readonly last: number;
  readonly count: number;
  readonly rights: number;
}

/**
 * The rising step function f that minimises Σ (f(confidence) − correct)², by pooling adjacent violators, as a line
 * through both ends of each step. Steps are kept within [1/(n + 2), 1 − 1/(n + 2)], n verdicts: what Laplace's rule
 * leaves open after n answers all alike. So none is 0 or 1. Ayer et al. 1955. Cost n log n.
 */
export function fitIsotonic(verdicts: readonly Verdict[]): IsotonicLine {
  const blocks: Block[] = [];
  for (const next of distinct(verdicts)) {
    let block = next;
    let before = blocks.at(-1);
    while (before !== undefined && before.rights * block.count >= block.rights * before.count) {
      block = {
        first: before.first,
        last: block.last,
        count: before.count + block.count,
        rights: before.rights + block.rights,
      };
      blocks.pop();
      before = blocks.at(-1);
    }
    blocks.push(block);
  }
  const least = 1 / (verdicts.length + 2);
  const points = blocks.flatMap(({ first, last, count, rights }) => {
    const y = Math.min(1 - least, Math.max(least, rights / count));
    return first === last
      ? [{ x: first, y }]
      : [
          { x: first, y },
          { x: last, y },
        ];
  });
  return { x: points.map(({ x }) => x), y: points.map(({ y }) => y) };
}

/** Blocks of one confidence each, ascending. */
function distinct(verdicts: readonly Verdict[]): Block[] {
  const blocks: Block[] = [];
  for (const { confidence, correct } of verdicts.toSorted((a, b) => a.confidence - b.confidence)) {
    const same = blocks.at(-1)?.first === confidence ? blocks.pop() : undefined;
    blocks.push({
      first: confidence,
      last: confidence,
      count: (same?.count ?? 0) + 1,
      rights: (same?.rights ?? 0) + Number(correct),
    });
  }
  return blocks;
}
