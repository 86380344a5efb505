import type { OwnTokens } from "../alignment/shared-space.ts";
import { logSoftmax, logSumExp } from "../stats/distributions.ts";
import { continueToken, type Continuation } from "./unfinished-token.ts";

/*
 * Only the anchor knows how its answers end: another member's end marks mean something else, or nothing. So the
 * special tokens' probabilities are the anchor's alone, and everybody else speaks about ordinary tokens, given that
 * the answer goes on:
 *
 *   q(v) = p_anchor(v)                                                      for special v
 *   q(v) = (1 − Σ_s p_anchor(s)) · exp(l_v) / Σ_u exp(l_u), u ordinary      for ordinary v
 *
 * Its logits come by the decoder's rows. What it expects of an anchor token's text is the sum over all rows that begin with
 * it, and of a token that is spoken for by another one's row (its host) a share of that, divided as the anchor divides it
 * at the same position: the follower says how likely they are together, and only its next tokens would tell them apart.
 *
 *   exp l(a) = Σ_{r begins with a} exp l_r,   exp l(a) ← exp l(host) · p_anchor(a) / Σ_{b of the same host} p_anchor(b)
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

/**
 * A follower's logits by the decoder's rows (R) to log-probabilities over the anchor's tokens (V), in place.
 * @param anchor the anchor's log-probabilities at the same position (V); without them a host keeps what it speaks for
 * @param continuation how its last token may go on; null where that is over
 */
export type FollowerVoice = (
  row: Float32Array,
  anchor: Float32Array | null,
  ends: SpecialMass,
  continuation: Continuation | null,
) => Float32Array;

/** @param special the anchor's special tokens */
export function createFollowerVoice(own: OwnTokens, special: readonly number[]): FollowerVoice {
  const groups = hostGroups(own.hosts);
  return (row, anchor, ends, continuation) => {
    const logits = row.subarray(0, own.hosts.length);
    addOwnRows(logits, row, own);
    if (anchor) for (const group of groups) divide(logits, group, anchor);
    normaliseFollower(logits, special, ends);
    if (continuation) continueToken(logits, continuation, ends.ordinary, special);
    return logits;
  };
}

/** Tokens that one row speaks for, its own first. */
function hostGroups(hosts: Int32Array): Int32Array[] {
  const groups = new Map<number, number[]>();
  for (const [token, host] of hosts.entries()) {
    if (host < 0) continue;
    const group = groups.get(host) ?? [host];
    group.push(token);
    groups.set(host, group);
  }
  return [...groups.values()].map((group) => Int32Array.from(group));
}

/** l(a) = ln Σ exp l_r over a's own row and the member's that begin with it. */
function addOwnRows(logits: Float32Array, row: Float32Array, { begins, firstRow }: OwnTokens): void {
  for (let first = 0; first < begins.length;) {
    const token = begins[first]!;
    let end = first;
    let largest = logits[token]!;
    while (end < begins.length && begins[end] === token) largest = Math.max(largest, row[firstRow + end++]!);
    let sum = Math.exp(logits[token]! - largest);
    for (; first < end; first++) sum += Math.exp(row[firstRow + first]! - largest);
    logits[token] = largest + Math.log(sum);
  }
}

function divide(logits: Float32Array, group: Int32Array, anchor: Float32Array): void {
  let total = 0;
  for (const token of group) total += Math.exp(anchor[token]!);
  const together = logits[group[0]!]! - Math.log(total);
  for (const token of group) logits[token] = together + anchor[token]!;
}
