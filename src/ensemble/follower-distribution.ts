import { logSoftmax, logSumExp } from "../stats/distributions.ts";

/*
 * Only the anchor knows how its answers end: another member's end marks mean something else, or nothing. So the
 * special tokens' probabilities are the anchor's alone, and everybody else speaks about ordinary tokens, given that
 * the answer goes on:
 *
 *   q(v) = p_anchor(v)                                                      for special v
 *   q(v) = (1 − Σ_s p_anchor(s)) · exp(l_v) / Σ_u exp(l_u), u ordinary      for ordinary v
 */

/** The anchor's word on the special tokens. */
export interface SpecialMass {
  /** Log-probabilities of the special tokens, in their order. */
  readonly logprobs: readonly number[];
  /** Log of the mass left to ordinary tokens. */
  readonly ordinary: number;
}

/** The anchor's logits (V) to log-probabilities, in place. */
export function normaliseAnchor(logits: Float32Array, special: readonly number[]): SpecialMass {
  logSoftmax(logits);
  return specialMass(logits, special);
}

/** What the anchor's log-probabilities (V) say about the special tokens. */
export function specialMass(logits: Float32Array, special: readonly number[]): SpecialMass {
  const logprobs = special.map((token) => logits[token] ?? -Infinity);
  const mass = logprobs.reduce((sum, logprob) => sum + Math.exp(logprob), 0);
  return { logprobs, ordinary: Math.log(Math.max(1 - mass, Number.MIN_VALUE)) };
}

/** Another member's logits (V), or the fused ones, to log-probabilities, in place. */
export function normaliseFollower(logits: Float32Array, special: readonly number[], ends: SpecialMass): void {
  for (const token of special) logits[token] = -Infinity;
  const shift = ends.ordinary - logSumExp(logits);
  for (let v = 0; v < logits.length; v++) logits[v]! += shift;
  for (const [i, token] of special.entries()) logits[token] = ends.logprobs[i] ?? -Infinity;
}
