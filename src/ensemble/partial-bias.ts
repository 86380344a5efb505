/**
 * A row that stands for the beginning of a token's text speaks for every continuation of it, and says too much. One
 * number c, added to the logits of all such tokens, puts it right on average:
 *
 *   mean_i  r_i e^c / (1 + r_i e^c) = f
 *
 * with r_i the odds that position i's distribution gives to such tokens and f the share of tokens that came and are
 * such. That is where the derivative of the mean log-loss by c vanishes; the left side grows with c, so bisection
 * finds it. f is kept off 0 and 1 by half a count.
 *
 * @param logOdds ln r_i (n), nats
 * @param came how many of the n tokens that came are such
 */
export function partialBias(logOdds: readonly number[], came: number): number {
  const share = (came + 0.5) / (logOdds.length + 1);
  const excess = (c: number): number =>
    logOdds.reduce((sum, odds) => sum + 1 / (1 + Math.exp(-(odds + c))), 0) / logOdds.length - share;
  let low = -50;
  let high = 50;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (excess(middle) > 0) high = middle;
    else low = middle;
  }
  return (low + high) / 2;
}
