import type { Tokenizer } from "../ports/tokenizer.ts";
import { expNonPositive } from "../stats/exponential.ts";
import { mapVocabulary } from "./vocabulary-map.ts";

/** Probabilities of some of the anchor's tokens, most likely first. */
export interface SparseDistribution {
  readonly tokens: Int32Array;
  readonly probabilities: Float32Array;
}

/**
 * For every token of a member, the token with which the anchor would begin the same text (V_m): -1 for the special
 * ones. The member's probability of an anchor token's text is the sum over all its tokens that begin with it.
 */
export function mapToAnchor(member: Tokenizer, anchor: Tokenizer): Int32Array {
  const byBytes = new Map<string, number>();
  for (let token = 0; token < anchor.vocabularySize; token++) {
    if (!anchor.specialTokens.has(token)) byBytes.set(String.fromCharCode(...anchor.bytes(token)), token);
  }
  return Int32Array.from({ length: member.vocabularySize }, (_, token) => {
    if (member.specialTokens.has(token)) return -1;
    const bytes = member.bytes(token);
    const same = byBytes.get(String.fromCharCode(...bytes));
    if (same !== undefined) return same;
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    const first = text.includes("\uFFFD") ? undefined : anchor.encode(text).ids[0];
    return first ?? byBytes.get(String.fromCharCode(bytes[0] ?? 0)) ?? -1;
  });
}

/** How the probabilities of a member's tokens become probabilities of the anchor's. */
export interface MarginalMap {
  /** From `mapToAnchor` (V_m). */
  readonly first: Int32Array;
  /**
   * Anchor tokens whose probabilities `first` sums under one of them, which stands first. The others are spelled with
   * several of the member's tokens, none of which begins with their text: the first of those begins with the text of
   * the one that stands first.
   */
  readonly groups: readonly Int32Array[];
}

export function marginalMap(member: Tokenizer, anchor: Tokenizer): MarginalMap {
  const first = mapToAnchor(member, anchor);
  const begun = new Uint8Array(anchor.vocabularySize);
  for (const token of first) if (token >= 0) begun[token] = 1;
  const byHost = new Map<number, number[]>();
  for (const [token, piece] of mapVocabulary(anchor, member).tokens.entries()) {
    const host = piece < 0 ? -1 : (first[piece] ?? -1);
    if (begun[token] || host < 0) continue;
    const group = byHost.get(host);
    if (group) group.push(token);
    else byHost.set(host, [host, token]);
  }
  return { first, groups: [...byHost.values()].map((group) => Int32Array.from(group)) };
}

/** Logits this far under the largest are left out: all of them together weigh less than 0.2 %. */
const NEGLIGIBLE_NATS = 18;

/**
 * A member's exact next-token distribution over the anchor's vocabulary (V).
 *
 *   p(a) = Σ_{t: first(t) = a} exp(l_t) / Σ_t exp(l_t), t not special
 *
 * Of what is summed under one token of a group each gets the share that the anchor gives it there: the member says how
 * likely they are together, and only its next tokens would tell them apart.
 *
 * @param logits of the member's own vocabulary (V_m)
 * @param anchor the anchor's logits at the same position (V)
 */
export function marginalise(logits: Float32Array, map: MarginalMap, anchor: Float32Array): Float32Array {
  const { first, groups } = map;
  const probabilities = new Float32Array(anchor.length);
  let largest = -Infinity;
  for (let t = 0; t < logits.length; t++) if (logits[t]! > largest) largest = logits[t]!;
  const floor = largest - NEGLIGIBLE_NATS;
  let total = 0;
  for (let t = 0; t < logits.length; t++) {
    if (logits[t]! < floor) continue;
    const token = first[t]!;
    if (token < 0) continue;
    const mass = expNonPositive(logits[t]! - largest);
    probabilities[token]! += mass;
    total += mass;
  }
  for (let token = 0; token < probabilities.length; token++) probabilities[token]! /= total;
  for (const group of groups) divide(probabilities, group, anchor);
  return probabilities;
}

/** Divides what the first of a group has among the group. */
function divide(probabilities: Float32Array, group: Int32Array, anchor: Float32Array): void {
  const [host = 0] = group;
  const together = probabilities[host]!;
  if (together === 0) return;
  let largest = -Infinity;
  for (const token of group) largest = Math.max(largest, anchor[token]!);
  let total = 0;
  for (const token of group) total += expNonPositive(anchor[token]! - largest);
  for (const token of group) {
    probabilities[token] = (together * expNonPositive(anchor[token]! - largest)) / total;
  }
}

/** Probabilities worth ranking at first sight; if there are too few, all are. */
const WORTH_RANKING = 3e-6;

/** The `most` likely tokens of a distribution (V). */
export function mostLikely(probabilities: Float32Array, most: number): SparseDistribution {
  const ranked = rank(probabilities, WORTH_RANKING, most);
  return {
    tokens: Int32Array.from(ranked),
    probabilities: Float32Array.from(ranked, (token) => probabilities[token] ?? 0),
  };
}

function rank(probabilities: Float32Array, least: number, most: number): number[] {
  const worth: number[] = [];
  for (let token = 0; token < probabilities.length; token++)
    if (probabilities[token]! > least) worth.push(token);
  if (worth.length < most && least > 0) return rank(probabilities, 0, most);
  return worth.sort((a, b) => probabilities[b]! - probabilities[a]!).slice(0, most);
}
