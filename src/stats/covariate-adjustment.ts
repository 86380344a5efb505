/** Outcomes of one arm's units, and what was known of each before it was assigned. */
export interface CovariateSums {
  n: number;
  y: number;
  x: number;
  yy: number;
  xx: number;
  xy: number;
}

export function emptyCovariateSums(): CovariateSums {
  return { n: 0, y: 0, x: 0, yy: 0, xx: 0, xy: 0 };
}

export function addCovariate(sums: CovariateSums, y: number, x: number): void {
  sums.n++;
  sums.y += y;
  sums.x += x;
  sums.yy += y * y;
  sums.xx += x * x;
  sums.xy += x * y;
}

/** The difference of two arms' means with a covariate's part taken out. */
export interface AdjustedDifference {
  /** Means of arm b less arm a of Y − θX. */
  readonly difference: number;
  /** Its variance, Σ var(Y − θX) / n over the arms. */
  readonly variance: number;
  /** θ. */
  readonly slope: number;
  /** 1 − variance / that without the covariate, about r². */
  readonly reduction: number;
}

/**
 * CUPED: Ȳ_b − Ȳ_a − θ(X̄_b − X̄_a) with θ = cov(Y, X) / var(X) over both arms' units together. X must not depend on the arm; then
 * the difference stays unbiased and its variance shrinks by the squared correlation. It is for units that had one arm each: where a
 * unit had both, X̄ is the same in both and there is nothing to take out. Deng, Xu, Kohavi & Walker 2013, eqs. 4 and 5.
 * Null where an arm has fewer than two units or X does not vary.
 */
export function adjustDifference(a: CovariateSums, b: CovariateSums): AdjustedDifference | null {
  if (a.n < 2 || b.n < 2) return null;
  const joint = sumOf(a, b);
  const spread = centred(joint.xx, joint.x, joint.x, joint.n);
  if (!(spread > 0)) return null;
  const slope = centred(joint.xy, joint.x, joint.y, joint.n) / spread;
  const plain = varianceOfMean(a, 0) + varianceOfMean(b, 0);
  const variance = varianceOfMean(a, slope) + varianceOfMean(b, slope);
  return {
    difference: b.y / b.n - a.y / a.n - slope * (b.x / b.n - a.x / a.n),
    variance,
    slope,
    reduction: plain > 0 ? 1 - variance / plain : 0,
  };
}

/** var(Y − θX) / n, with n − 1 degrees of freedom. */
export function varianceOfMean({ n, y, x, yy, xx, xy }: CovariateSums, slope: number): number {
  const squares = centred(yy, y, y, n) - 2 * slope * centred(xy, x, y, n) + slope ** 2 * centred(xx, x, x, n);
  return Math.max(squares, 0) / (n - 1) / n;
}

function sumOf(a: CovariateSums, b: CovariateSums): CovariateSums {
  return {
    n: a.n + b.n,
    y: a.y + b.y,
    x: a.x + b.x,
    yy: a.yy + b.yy,
    xx: a.xx + b.xx,
    xy: a.xy + b.xy,
  };
}

/** Σ (u − ū)(v − v̄) = Σ uv − Σu Σv / n. */
function centred(product: number, u: number, v: number, n: number): number {
  return product - (u * v) / n;
}
