import type { AnchorRows } from "./anchor-rows.ts";

/** Added to the count of each token, and to that of what a row says besides: so much until texts tell. */
const TOKEN_COUNT = 0.02;
const REST_COUNT = 2;

/**
 * A row that stands for the beginning of several tokens' texts says how likely they are together. What each adds to its
 * logit for its own share, nats (V): 0 where the row is one token's alone, else
 *
 *   ln ρ_s,  ρ_s = (n_s + 0.02) / (2 + Σ_t (n_t + 0.02)), t with the same row    for a token whose text it begins
 *   ln(1 − Σ_s ρ_s)                                                              for the token whose whole text it is
 *
 * @param counts n, how often each token came (V)
 */
export function partialShares(
  { tokens, partial }: Pick<AnchorRows, "tokens" | "partial">,
  counts: Float64Array,
): Float32Array {
  const together = new Map<number, number>();
  const spelled = new Map<number, number>();
  for (const [token, row] of tokens.entries()) {
    const count = (counts[token] ?? 0) + TOKEN_COUNT;
    together.set(row, (together.get(row) ?? REST_COUNT) + count);
    if (partial[token]) spelled.set(row, (spelled.get(row) ?? 0) + count);
  }
  return Float32Array.from(tokens, (row, token) => {
    const own = partial[token] ? (counts[token] ?? 0) + TOKEN_COUNT : null;
    const all = together.get(row) ?? REST_COUNT;
    return Math.log((own ?? all - (spelled.get(row) ?? 0)) / all);
  });
}
