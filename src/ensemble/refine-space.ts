import { distil, type DistillationRow, type DistillationStep } from "../alignment/distil.ts";
import { fitMixtureWeights } from "../alignment/mixture-weights.ts";
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
 * Teaches a space what its members know by their own heads. Of every position two rows are learned: the fused state
 * is to decode to the mixture of the members' exact distributions, Σ π_m p_m, and one member's state alone, each in
 * turn, to that member's own. Fused states thus gain what adding logits loses, and members stay readable alone.
 */
export function refineSpace(options: RefineOptions): Promise<SharedSpace> {
  const { space, means, examples, step, epochs, seed, progress } = options;
  const members = space.members.length;
  const mixture = fitMixtureWeights(examples.map(likelihoods)).weights;
  const weights = space.members.map((member) => member.weight);
  const centred = examples.map(({ states }) =>
    states.map((state, m) => state.map((x, j) => x - (means[m]?.[j] ?? 0))),
  );
  const row = (r: number): DistillationRow => {
    const at = Math.floor(r / 2);
    const example = examples[at];
    const states = centred[at];
    if (example === undefined || states === undefined) throw new RangeError(`refine: there is no row ${r}`);
    const alone = Array.from({ length: members }, (_, m) => (m === at % members ? 1 : 0));
    return r % 2 === 0
      ? { states, shares: weights, target: target(example, mixture) }
      : { states, shares: alone, target: target(example, alone) };
  };
  return distil(space, means, { step, count: 2 * examples.length, row, epochs, seed, progress });
}

function* target(
  { targets, token }: DistillationExample,
  shares: readonly number[],
): Generator<readonly [token: number, weight: number]> {
  for (const [m, { tokens, probabilities }] of targets.entries()) {
    const share = shares[m] ?? 0;
    if (share === 0) continue;
    for (let i = 0; i < tokens.length; i++) yield [tokens[i] ?? 0, share * (probabilities[i] ?? 0)];
  }
  yield [token, TRUE_TOKEN];
}

/** A token outside the kept ones counts as this likely. */
const LEAST_PROBABILITY = 1e-6;

/** What each member gave the token that came (m). */
function likelihoods({ targets, token }: DistillationExample): number[] {
  return targets.map(
    ({ tokens, probabilities }) => probabilities[tokens.indexOf(token)] ?? LEAST_PROBABILITY,
  );
}
