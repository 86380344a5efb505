import type { Comparison } from "../stats/distributions.ts";

/*
 * Whose word counts at one position: a mixture of experts, p = Σ_e π_e p_e. The experts are the members' next-token
 * distributions p_m (m = 1 … M) and, last, their log-linear pool, p ∝ Π p_m^w_m: what they say together. The shares π
 * depend on two signals that cost nothing more, how far the members are apart and who is surer. Over V tokens,
 *
 *   j = JS(p_1 … p_M) / ln M                      0 where they agree, 1 where they exclude each other
 *   a = H(p_1) / (H(p_1) + mean_{m>1} H(p_m))     0 where the anchor is sure and the others are not, 1 the other way
 *
 * and are bilinear between the shares at the four corners of (j, a):
 *
 *   φ = ((1 − j)(1 − a), (1 − j) a, j (1 − a), j a),   π_e = Σ_c φ_c θ_ce,   θ >= 0,   Σ_e θ_ce = 1
 *
 * The φ are not negative and sum to 1, so the π are shares. Equal corners are a constant mixture, all of it on the last
 * expert is the pool, and a member that has 0 everywhere, in θ and in w, has no part in the answer. Jacobs et al. 1991.
 */

/** θ (4, M + 1): the experts' shares at each corner. */
export type Gate = readonly (readonly number[])[];

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

/** π_e = Σ_c φ_c θ_ce (M + 1). */
export function gateShares(gate: Gate, features: readonly number[]): number[] {
  const experts = gate[0]?.length ?? 0;
  return Array.from({ length: experts }, (_, e) =>
    gate.reduce((sum, corner, c) => sum + (corner[e] ?? 0) * (features[c] ?? 0), 0),
  );
}

/** The gate that leaves everything to the pool of `members`. */
export function poolGate(members: number): Gate {
  const pool = Array.from({ length: members + 1 }, (_, e) => (e === members ? 1 : 0));
  return Array.from({ length: GATE_CORNERS }, () => pool);
}
