import type { SamplingOptions } from "../ports/engine.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";

/** Draws tokens of one answer; remembers what it drew, for the penalties. */
export interface Sampler {
  /**
   * One token from `logprobs` (V), nats; tokens at -Infinity are never drawn.
   *
   * In order: logit bias; frequency and presence penalties, l_v − count_v·f − [count_v > 0]·p over the
   * answer's tokens; temperature; top_k; top_p (Holtzman et al. 2020: the smallest set of most likely
   * tokens whose mass reaches top_p); min_p (p_v ≥ min_p · max p); then one draw. Temperature 0 takes the
   * most likely token, the lowest id among equals.
   * @param top the most likely token of `logprobs`, the lowest id among equals, where it is known
   */
  draw(logprobs: Float32Array, top?: number): number;
}

/**
 * @param blocked tokens that are never drawn
 * @param random uniform numbers in [0, 1)
 */
export function createSampler(
  options: SamplingOptions,
  blocked: readonly number[],
  random: () => number,
): Sampler {
  const { logitBias, frequencyPenalty, presencePenalty, temperature } = options;
  const counts = new Map<number, number>();
  let logits = new Float32Array(0);

  function adjusted(logprobs: Float32Array): Float32Array {
    if (logits.length !== logprobs.length) logits = new Float32Array(logprobs.length);
    logits.set(logprobs);
    for (const [token, bias] of logitBias) {
      if (token < logits.length) logits[token] = (logits[token] ?? 0) + bias;
    }
    for (const [token, count] of counts) {
      const penalty = count * frequencyPenalty + presencePenalty;
      logits[token] = (logits[token] ?? 0) - penalty;
    }
    for (const token of blocked) logits[token] = -Infinity;
    return logits;
  }

  const nothingRises =
    frequencyPenalty >= 0 && presencePenalty >= 0 && [...logitBias.values()].every((bias) => bias <= 0);
  const unchanged = (token: number): boolean =>
    !logitBias.has(token) &&
    !blocked.includes(token) &&
    (!counts.has(token) || (frequencyPenalty === 0 && presencePenalty === 0));

  function drawn(logprobs: Float32Array, top: number | undefined): number {
    // What nothing comes near stays the most likely: the vocabulary need not be gone through.
    if (temperature === 0 && nothingRises && top !== undefined && unchanged(top)) return top;
    const scores = adjusted(logprobs);
    if (temperature === 0) return mostLikely(scores);
    return drawIndex(truncated(softmax(scores, temperature), options), random());
  }

  return {
    draw(logprobs, top) {
      const token = drawn(logprobs, top);
      counts.set(token, (counts.get(token) ?? 0) + 1);
      return token;
    },
  };
}

/** Controls that would say nothing: an answer consists of text and one end. */
export function neverDrawn(tokenizer: Tokenizer): number[] {
  return [...tokenizer.specialTokens].filter((token) => !tokenizer.endTokens.includes(token));
}

/** The ids of the `count` largest entries, largest first, lowest id first among equals. */
export function topTokens(logprobs: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let token = 0; token < logprobs.length; token++) {
    const value = logprobs[token] ?? -Infinity;
    if (best.length === count && value <= (logprobs[best[count - 1] ?? 0] ?? -Infinity)) continue;
    let at = best.length;
    while (at > 0 && (logprobs[best[at - 1] ?? 0] ?? -Infinity) < value) at--;
    best.splice(at, 0, token);
    if (best.length > count) best.pop();
  }
  return best;
}

function mostLikely(logits: Float32Array): number {
  return topTokens(logits, 1)[0] ?? 0;
}

function softmax(logits: Float32Array, temperature: number): Float64Array {
  let max = -Infinity;
  for (const value of logits) if (value > max) max = value;
  const p = new Float64Array(logits.length);
  let sum = 0;
  for (let v = 0; v < p.length; v++) {
    const e = Math.exp(((logits[v] ?? -Infinity) - max) / temperature);
    p[v] = e;
    sum += e;
  }
  for (let v = 0; v < p.length; v++) p[v] = (p[v] ?? 0) / sum;
  return p;
}

/** The distribution after the truncations, unnormalised. Without any, nothing is sorted. */
function truncated(p: Float64Array, options: SamplingOptions): Float64Array {
  if (options.topP >= 1 && options.topK === 0 && options.minP === 0) return p;
  const ranked = mostProbable(p, options.topK === 0 ? p.length : options.topK, options.topP);
  const floor = options.minP * (p[ranked[0] ?? 0] ?? 0);
  const kept = new Float64Array(p.length);
  for (const token of ranked) {
    const probability = p[token] ?? 0;
    if (probability >= floor) kept[token] = probability;
  }
  return kept;
}

/**
 * The most probable tokens in order, until `count` of them or until their mass reaches `mass`.
 * Looks at ever smaller probabilities, so that a full sort of the vocabulary is rare.
 */
function mostProbable(p: Float64Array, count: number, mass: number): number[] {
  for (let floor = 1e-3; ; floor = floor < 1e-12 ? 0 : floor * 1e-3) {
    const ranked: number[] = [];
    for (let v = 0; v < p.length; v++) if ((p[v] ?? 0) >= floor && (p[v] ?? 0) > 0) ranked.push(v);
    ranked.sort((a, b) => (p[b] ?? 0) - (p[a] ?? 0) || a - b);
    let sum = 0;
    for (let rank = 0; rank < ranked.length; rank++) {
      sum += p[ranked[rank] ?? 0] ?? 0;
      if (rank + 1 === count || sum >= mass) return ranked.slice(0, rank + 1);
    }
    if (floor === 0) return ranked;
  }
}

/** An index with probability in proportion to its weight. @param uniform in [0, 1) */
function drawIndex(weights: Float64Array, uniform: number): number {
  let total = 0;
  for (const weight of weights) total += weight;
  let left = uniform * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] ?? 0;
    if (weight === 0) continue;
    last = i;
    left -= weight;
    if (left < 0) break;
  }
  return last;
}
