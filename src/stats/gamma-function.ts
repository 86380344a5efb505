/** Lanczos 1964 with g = 7 and nine terms: relative error below 1e-14. */
const LANCZOS = [
  0.9999999999998099, 676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406,
  12.507343278686905, -0.13857109526572012, 0.000009984369578019572, 1.5056327351493116e-7,
];

/** ln Γ(x), x > 0. @throws RangeError otherwise */
export function logGamma(x: number): number {
  if (!(x > 0)) throw new RangeError(`logGamma: expected a number above 0, got ${x}`);
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const z = x - 1;
  const sum = LANCZOS.reduce((total, term, i) => total + (i === 0 ? term : term / (z + i)), 0);
  const t = z + 7.5;
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(sum);
}

const TERMS = 10_000;

/**
 * P(X > x) of a χ² with k degrees of freedom, the upper regularised incomplete gamma function Q(k/2, x/2): by series below
 * x = k + 2, else by continued fraction (Abramowitz & Stegun 6.5.29, 6.5.31).
 * @throws RangeError unless k > 0 and x >= 0
 */
export function chiSquareTail(x: number, degrees: number): number {
  if (!(degrees > 0 && x >= 0)) {
    throw new RangeError(`chiSquareTail: expected k > 0 and x >= 0, got ${degrees} and ${x}`);
  }
  if (x === 0) return 1;
  const a = degrees / 2;
  const y = x / 2;
  const scale = Math.exp(a * Math.log(y) - y - logGamma(a));
  return y < a + 1 ? 1 - scale * lowerSeries(a, y) : scale * upperFraction(a, y);
}

function lowerSeries(a: number, y: number): number {
  let term = 1 / a;
  let sum = term;
  for (let i = 1; i < TERMS && term > sum * Number.EPSILON; i++) {
    term *= y / (a + i);
    sum += term;
  }
  return sum;
}

/** By Lentz's method as Thompson & Barnett 1986 have it. */
function upperFraction(a: number, y: number): number {
  let b = y + 1 - a;
  let c = Infinity;
  let d = 1 / b;
  let fraction = d;
  for (let i = 1; i < TERMS; i++) {
    const numerator = -i * (i - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    fraction *= d * c;
    if (Math.abs(d * c - 1) < Number.EPSILON) break;
  }
  return fraction;
}
