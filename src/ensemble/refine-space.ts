import { distil, type DistillationRow, type DistillationStep } from "../alignment/distil.ts";
import type { SharedSpace } from "../alignment/shared-space.ts";
import type { Progress } from "../ports/progress.ts";
import type { DistillationExample } from "./distillation-examples.ts";

export interface RefineOptions {
  readonly space: SharedSpace;
  /** Mean final state of each member (d_m). */
  readonly means: readonly Float32Array[];
  readonly examples: readonly DistillationExample[];
  readonly step: DistillationStep;
  readonly epochs: number;
  readonly seed: number;
  readonly progress: Progress;
}

/** Weight of the token that came beside the distribution that is learned from. */
const TRUE_TOKEN = 0.4;

/**
 * Teaches a space what its members know by their own heads, and what came. At every position each member's state alone is
 * to decode to that member's own distribution over its rows, and to the token that came: of the rows with which that may
 * begin, each has the share that the member gives it (the expectation step of Dempster, Laird & Rubin 1977).
 */
export function refineSpace(options: RefineOptions): Promise<SharedSpace> {
  const { space, means, examples, step, epochs, seed, progress } = options;
  const members = space.members.length;
  const centred = examples.map(({ states }) =>
    states.map((state, m) => state.map((x, j) => x - (means[m]?.[j] ?? 0))),
  );
  const row = (r: number): DistillationRow => {
    const at = Math.floor(r / members);
    const m = r % members;
    const example = examples[at];
    const states = centred[at];
    if (example === undefined || states === undefined) throw new RangeError(`refine: there is no row ${r}`);
    const shares = space.members.map((_, other) => (other === m ? 1 : 0));
    return { states, shares, target: target(example, m) };
  };
  return distil(space, means, { step, count: members * examples.length, row, epochs, seed, progress });
}

function* target(
  { targets, came }: DistillationExample,
  m: number,
): Generator<readonly [row: number, weight: number]> {
  const weighed = [
    { distribution: targets[m], weight: 1 },
    { distribution: came[m], weight: TRUE_TOKEN },
  ];
  for (const { distribution, weight } of weighed) {
    for (const [i, row] of distribution?.tokens.entries() ?? []) {
      yield [row, weight * (distribution?.probabilities[i] ?? 0)];
    }
  }
}
