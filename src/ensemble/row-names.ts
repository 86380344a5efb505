/*
 * What the rows of an evaluation are called. A member alone, with its own head and vocabulary, has its id, and the
 * ensemble's answer `concord`: fused, but where it leaves a text to one member.
 */

/** The fused answer to every text; a row of its own where the ensemble leaves some to one member. */
export const ALWAYS_FUSED = "concord, always fused";

/** Mean of the members' probabilities, token by token, each read through the shared space. */
export const MEAN_OF_PROBABILITIES = "mean of probabilities";

/** The members' log-probabilities, each read through the shared space, added with the same weights everywhere. */
export const LOG_LINEAR_POOL = "log-linear pool, constant weights";

/** A member whose states are projected into the shared space and decoded there alone. */
export function throughSharedSpace(id: string): string {
  return `${id} through the shared space`;
}

/** What the fused log-probabilities of closed choices decide, where the ensemble has learned to decide better. */
export const BY_LOG_PROBABILITY = "concord by log-probability alone";

/** A member's own log-probabilities and states, read by a decision learned for it. */
export function withHead(id: string): string {
  return `${id} with a head`;
}

/** The members' own heads pooled log-linearly over the anchor's vocabulary, without a shared space. */
export const EXACT_POOL = "log-linear pool of the members' own heads";

/** Mean of the probabilities that the members' own heads give to the anchor's tokens, all their tokens counted. */
export const EXACT_MEAN = "mean of probabilities, exact marginals";

/** Of a text: the member that predicts each document best. */
export const ORACLE_TEXT = "oracle: the best member of each document";
