/** Probabilities of some outcomes, most likely first. */
export interface SparseDistribution {
  readonly tokens: Int32Array;
  readonly probabilities: Float32Array;
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
