/*
 * What the rows of an evaluation are called. A member alone, with its own head and vocabulary, has its id, and the
 * fused answer `concord`.
 */

/** Mean of the members' probabilities, token by token, each read through the shared space. */
export const MEAN_OF_PROBABILITIES = "mean of probabilities";

/** A member whose states are projected into the shared space and decoded there alone. */
export function throughSharedSpace(id: string): string {
  return `${id} through the shared space`;
}
