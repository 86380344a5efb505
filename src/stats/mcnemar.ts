/**
 * Exact McNemar test of two ways to decide on the same items: p-value, in [0, 1], of the hypothesis that where only one
 * of them is right, it is as often the first as the second. Two-sided binomial: with n = onlyFirst + onlySecond and
 * k = min, p = min(1, 2 Σ_{i<=k} C(n, i) 2^−n). McNemar 1947. Cost n.
 * @throws RangeError on anything but whole numbers from 0
 */
export function mcnemarTest(onlyFirst: number, onlySecond: number): number {
  if (![onlyFirst, onlySecond].every((count) => Number.isInteger(count) && count >= 0)) {
    throw new RangeError(`mcnemarTest: expected two counts, got ${onlyFirst} and ${onlySecond}`);
  }
  const n = onlyFirst + onlySecond;
  let logTerm = -n * Math.LN2;
  let tail = Math.exp(logTerm);
  for (let i = 1; i <= Math.min(onlyFirst, onlySecond); i++) {
    logTerm += Math.log((n - i + 1) / i);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}
