import type { Tokenizer } from "../ports/tokenizer.ts";

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

/** Logits this far under the largest are left out: all of them together weigh less than 0.2 %. */
const NEGLIGIBLE_NATS = 18;
/** Probabilities worth ranking at first sight; if there are too few, all are. */
const WORTH_RANKING = 3e-6;

/**
 * A member's exact next-token distribution over the anchor's vocabulary, its `most` likely tokens.
 *
 *   p(a) = Σ_{t: first(t) = a} exp(l_t) / Σ_t exp(l_t), t not special
 *
 * @param logits of the member's own vocabulary (V_m)
 * @param first from `mapToAnchor`; null for the anchor itself
 * @param sums working space (V), all 0 before and after
 */
export function marginalise(
  logits: Float32Array,
  first: Int32Array | null,
  sums: Float64Array,
  most: number,
): SparseDistribution {
  let largest = -Infinity;
  for (let t = 0; t < logits.length; t++) if (logits[t]! > largest) largest = logits[t]!;
  const floor = largest - NEGLIGIBLE_NATS;
  let total = 0;
  for (let t = 0; t < logits.length; t++) {
    if (logits[t]! < floor) continue;
    const token = first === null ? t : first[t]!;
    if (token < 0) continue;
    const mass = Math.exp(logits[t]! - largest);
    sums[token]! += mass;
    total += mass;
  }
  const ranked = rank(sums, WORTH_RANKING * total, most);
  const probabilities = Float32Array.from(ranked, (token) => sums[token]! / total);
  sums.fill(0);
  return { tokens: Int32Array.from(ranked), probabilities };
}

function rank(sums: Float64Array, least: number, most: number): number[] {
  const worth: number[] = [];
  for (let token = 0; token < sums.length; token++) if (sums[token]! > least) worth.push(token);
  if (worth.length < most && least > 0) return rank(sums, 0, most);
  return worth.sort((a, b) => sums[b]! - sums[a]!).slice(0, most);
}
