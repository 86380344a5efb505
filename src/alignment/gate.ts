import type { Comparison } from "../stats/distributions.ts";

/*
 * How much each member's word counts at one position, by two signals that cost nothing more: how far the members are
 * apart, and who is surer. With p_m their next-token distributions over V tokens,
 *
 *   j = JS(p_1 … p_M) / ln M                      0 where they agree, 1 where they exclude each other
 *   a = H(p_1) / (H(p_1) + mean_{m>1} H(p_m))     0 where the anchor is sure and the others are not, 1 the other way
 *
 * a member's weight is bilinear between its weights at the four corners of (j, a):
 *
 *   φ = ((1 − j)(1 − a), (1 − j) a, j (1 − a), j a),   w_m = Σ_c θ_mc φ_c,   θ >= 0
 *
 * The φ are not negative and sum to 1: four equal corners are a constant weight, and 0 is always in range.
 */

/** Corners of the gate. */
export const GATE_CORNERS = 4;

/** φ (4) at a position, from its members' distributions, the anchor's first. @throws RangeError when there is only one */
export function gateFeatures({ divergence, entropies }: Comparison): readonly number[] {
  const [anchor, ...others] = entropies;
  if (anchor === undefined || others.length === 0) {
    throw new RangeError(`gateFeatures: expected two members or more, got ${entropies.length}`);
  }
  const j = Math.min(1, divergence / Math.log(entropies.length));
  const mean = others.reduce((sum, entropy) => sum + entropy, 0) / others.length;
  const a = anchor + mean > 0 ? anchor / (anchor + mean) : 0.5;
  return [(1 - j) * (1 - a), (1 - j) * a, j * (1 - a), j * a];
}

/** w_m = Σ_c θ_c φ_c. */
export function gateWeight(corners: readonly number[], features: readonly number[]): number {
  return corners.reduce((sum, corner, c) => sum + corner * (features[c] ?? 0), 0);
}

/** The gate of a constant weight. */
export function constantGate(weight: number): readonly number[] {
  return Array.from({ length: GATE_CORNERS }, () => weight);
}
