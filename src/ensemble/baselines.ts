import { fuse } from "../alignment/shared-space.ts";
import { normaliseFollower, specialMass } from "./follower-distribution.ts";
import { weightsOfPresent } from "./predictor.ts";
import type { Prediction } from "./reading.ts";

/*
 * What fusing brings without weights that depend on the position, at the same cost: both ways to combine the members'
 * distributions as they are read through the shared space.
 */

/** ln (1/m Σ_m p_m(token)) over the members present, nats. */
export function logMeanProbability({ members }: Prediction, token: number): number {
  const present = members.flatMap(({ logprobs }) =>
    logprobs === null ? [] : [logprobs[token] ?? -Infinity],
  );
  return Math.log(present.reduce((sum, logprob) => sum + Math.exp(logprob), 0) / present.length);
}

/** ln p(token), nats, of p ∝ Π_m p_m^w_m with the same weights everywhere; special tokens are the anchor's word. */
export function logPool(
  { members }: Prediction,
  weights: readonly number[],
  special: readonly number[],
  token: number,
): number {
  const anchor = members[0]?.logprobs;
  if (!anchor) throw new Error("log-linear pool: the anchor has no distribution");
  const present = members.map(({ logprobs }) => logprobs !== null);
  const pooled = fuse(
    weightsOfPresent(weights, present),
    members.map(({ logprobs }) => logprobs ?? anchor),
  );
  normaliseFollower(pooled, special, specialMass(anchor, special));
  return pooled[token] ?? -Infinity;
}
