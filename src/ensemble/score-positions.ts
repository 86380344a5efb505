import type { TextKind } from "../alignment/shared-space.ts";
import type { ChosenPosition } from "./choose-weights.ts";
import type { Ensemble } from "./ensemble.ts";
import { createPredictor } from "./predictor.ts";

/** Mean −ln p of the tokens that came, nats. */
export interface PositionScores {
  /** Of the ensemble's answer. */
  readonly fused: number;
  /** Of each member read through the shared space (m). */
  readonly members: readonly number[];
}

/** Positions predicted at once: their logits take 12 MB for each member at V = 49,152. */
const AT_ONCE = 64;

/**
 * How well an ensemble foresees the tokens at some positions, as it does when it answers.
 * @throws RangeError when there are none
 */
export async function scorePositions(
  ensemble: Ensemble,
  positions: readonly ChosenPosition[],
): Promise<PositionScores> {
  if (positions.length === 0) throw new RangeError("scorePositions: expected positions, got none");
  let fused = 0;
  const members = ensemble.members.map(() => 0);
  for (const kind of ["text", "chat"] satisfies TextKind[]) {
    const own = positions.filter((position) => position.kind === kind);
    const predictor = createPredictor(ensemble, kind);
    for (let first = 0; first < own.length; first += AT_ONCE) {
      const some = own.slice(first, first + AT_ONCE);
      const predictions = await predictor.predict(some.map(({ states }) => states));
      for (const [i, { token }] of some.entries()) {
        fused -= predictions[i]?.logprobs[token] ?? -Infinity;
        for (const m of members.keys())
          members[m]! -= predictions[i]?.members[m]?.logprobs?.[token] ?? -Infinity;
      }
    }
  }
  const count = positions.length;
  return { fused: fused / count, members: members.map((sum) => sum / count) };
}
