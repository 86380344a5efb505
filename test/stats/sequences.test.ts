import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import {
  asymptoticInterval,
  asymptoticPValue,
  mixturePrecision,
  sequenceHalfWidth,
} from "../../src/stats/asymptotic-sequence.ts";
import { createBettingSequence } from "../../src/stats/betting-sequence.ts";
import {
  addCovariate,
  adjustDifference,
  emptyCovariateSums,
  varianceOfMean,
  type CovariateSums,
} from "../../src/stats/covariate-adjustment.ts";
import { chiSquareTail, logGamma } from "../../src/stats/gamma-function.ts";
import { normalQuantile } from "../../src/stats/normal-quantile.ts";
import { detectableDifference, fixedSize, sequentialSize } from "../../src/stats/planned-size.ts";
import { sampleRatio } from "../../src/stats/sample-ratio.ts";
import golden from "../golden/sequences.json" with { type: "json" };

const halfWidthPlannedFor = (units: number): number =>
  sequenceHalfWidth({ variance: 1 / 2000, n: 2000 }, mixturePrecision(0.05, units), 0.05);

describe("the asymptotic sequence", () => {
  it.each(golden.asymptotic)("is gbstats' at n = $n", ({ alpha, units, interval, ...expected }) => {
    const rho = mixturePrecision(alpha, units);
    const found = asymptoticInterval(expected, rho, alpha);
    expect(rho).toBeCloseTo(expected.rho, 10);
    expect(found.low).toBeCloseTo(interval[0]!, 10);
    expect(found.high).toBeCloseTo(interval[1]!, 10);
    expect(asymptoticPValue(expected, rho)).toBeCloseTo(expected.pValue, 10);
  });

  it("excludes 0 exactly where its p-value is below α", () => {
    const rho = mixturePrecision(0.05, 1000);
    for (const difference of [0.01, 0.05, 0.1, 0.2]) {
      const watched = { difference, variance: 0.001, n: 800 };
      expect(asymptoticInterval(watched, rho, 0.05).low > 0).toBe(asymptoticPValue(watched, rho) < 0.05);
    }
  });

  it("is narrower at its planned size than one that is planned for another", () => {
    expect(halfWidthPlannedFor(2000)).toBeLessThan(halfWidthPlannedFor(200));
    expect(halfWidthPlannedFor(2000)).toBeLessThan(halfWidthPlannedFor(20_000));
  });

  it("of 2,000 experiments without a difference tells one in at most α, looked at after every 100; a z-test in four times as many", () => {
    const runs = 2000;
    const rates = peekingRates(runs, [0.4, 0.4]);
    // Three binomial standard deviations.
    expect(rates.sequence).toBeLessThanOrEqual(0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs));
    expect(rates.zTest).toBeGreaterThan(0.2);
  });

  it("finds .45 against .40 in 4,000 units in about 69 % of experiments", () => {
    expect(Math.abs(peekingRates(500, [0.4, 0.45]).sequence - 0.69)).toBeLessThan(0.07);
  });
});

/** Shares of the experiments of 2,000 units an arm, looked at after every 100, that tell a difference at some look. */
function peekingRates(
  runs: number,
  rates: readonly [number, number],
): { readonly sequence: number; readonly zTest: number } {
  const random = createRandom(7);
  const rho = mixturePrecision(0.05, 4000);
  let sequence = 0;
  let zTest = 0;
  for (let run = 0; run < runs; run++) {
    const rights = [0, 0];
    let told = false;
    let toldByZ = false;
    for (let n = 1; n <= 2000; n++) {
      for (const arm of [0, 1]) if (random.next() < rates[arm]!) rights[arm]!++;
      if (n % 100 !== 0) continue;
      const [a, b] = rights.map((right) => right / n) as [number, number];
      const watched = { difference: b - a, variance: (a * (1 - a) + b * (1 - b)) / (n - 1), n: 2 * n };
      if (asymptoticPValue(watched, rho) < 0.05) told = true;
      if (Math.abs(b - a) > 1.96 * Math.sqrt(watched.variance)) toldByZ = true;
    }
    if (told) sequence++;
    if (toldByZ) zTest++;
  }
  return { sequence: sequence / runs, zTest: zTest / runs };
}

describe("the betting sequence", () => {
  it.each(golden.betting)("is confseq's, α = $alpha, $x.length values", ({ alpha, x, at, ...expected }) => {
    const sequence = createBettingSequence({ alpha });
    for (const [i, value] of x.entries()) {
      sequence.observe(value);
      const look = at.indexOf(i);
      if (look < 0) continue;
      expect(sequence.interval.low).toBeCloseTo(expected.low[look]!, 9);
      expect(sequence.interval.high).toBeCloseTo(expected.high[look]!, 9);
      expect(sequence.pValueOfHalf).toBeCloseTo(expected.pValueOfHalf[look]!, 6);
    }
  });

  it("excludes the mean at any of 1,000 looks in at most α of 2,000 runs, for coins and for skewed values", () => {
    const runs = 2000;
    for (const draw of [
      (uniform: number) => Number(uniform < 0.5),
      (uniform: number) => (uniform < 0.9 ? 4 / 9 : 1),
    ]) {
      const random = createRandom(11);
      let excluded = 0;
      for (let run = 0; run < runs; run++) {
        const sequence = createBettingSequence({ alpha: 0.05, breaks: 2 });
        for (let n = 0; n < 1000; n++) sequence.observe(draw(random.next()));
        if (sequence.pValueOfHalf < 0.05) excluded++;
      }
      expect(excluded / runs).toBeLessThanOrEqual(0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs));
    }
  });

  it("closes in on the mean, and mirrors what is mirrored", () => {
    const random = createRandom(3);
    const sequence = createBettingSequence({ alpha: 0.05 });
    const mirror = createBettingSequence({ alpha: 0.05 });
    for (let n = 0; n < 3000; n++) {
      const value = random.next() ** 2;
      sequence.observe(value);
      mirror.observe(1 - value);
    }
    const { low, high } = sequence.interval;
    expect(low).toBeLessThan(1 / 3);
    expect(high).toBeGreaterThan(1 / 3);
    expect(high - low).toBeLessThan(0.06);
    expect(mirror.interval.low).toBeCloseTo(1 - high, 9);
    expect(mirror.interval.high).toBeCloseTo(1 - low, 9);
  });

  it("refuses values outside [0, 1], a level that is none and an odd number of breaks", () => {
    expect(() => createBettingSequence({ alpha: 0.05 }).observe(1.1)).toThrow(
      "expected a value in [0, 1], got 1.1",
    );
    expect(() => createBettingSequence({ alpha: 0.05 }).observe(NaN)).toThrow(RangeError);
    expect(() => createBettingSequence({ alpha: 0 })).toThrow(RangeError);
    expect(() => createBettingSequence({ alpha: 0.05, breaks: 5 })).toThrow("an even number of breaks");
  });
});

describe("the sample ratio", () => {
  it.each(golden.sampleRatio)("of $counts is gbstats' and scipy's", ({ counts, weights, ...expected }) => {
    const found = sampleRatio([{ counts, weights }]);
    expect(found.pValue).toBeCloseTo(expected.pValue, 10);
    expect(found.sequentialPValue).toBeCloseTo(expected.sequentialPValue, 8);
  });

  it("alarms in at most its stated share of 2,000 right deals looked at after every 50 units, and soon in a wrong one", () => {
    const random = createRandom(5);
    const alarmAt = (share: number, level: number): number | null => {
      const counts = [0, 0];
      for (let n = 1; n <= 3000; n++) {
        counts[random.next() < share ? 0 : 1]!++;
        if (n % 50 !== 0) continue;
        if (sampleRatio([{ counts, weights: [1, 1] }]).sequentialPValue < level) return n;
      }
      return null;
    };
    const alarms = Array.from({ length: 2000 }, () => alarmAt(0.5, 0.05)).filter((at) => at !== null).length;
    expect(alarms / 2000).toBeLessThanOrEqual(0.05);
    const found = Array.from({ length: 50 }, () => alarmAt(0.6, 0.001));
    expect(found.every((at) => at !== null && at <= 2000)).toBe(true);
  });

  it("takes periods of other weights apart, and has nothing to say of one arm or of nobody", () => {
    const periods = [
      { counts: [900, 100], weights: [9, 1] },
      { counts: [100, 900], weights: [1, 9] },
    ];
    expect(sampleRatio(periods).sequentialPValue).toBe(1);
    expect(sampleRatio([{ counts: [1000, 1000], weights: [9, 1] }]).sequentialPValue).toBeLessThan(1e-9);
    expect(sampleRatio([{ counts: [5], weights: [1] }])).toEqual({
      chiSquare: 0,
      pValue: 1,
      sequentialPValue: 1,
    });
    expect(sampleRatio([{ counts: [0, 0], weights: [1, 1] }]).sequentialPValue).toBe(1);
    expect(() => sampleRatio([{ counts: [1, 2], weights: [1, 0] }])).toThrow(RangeError);
  });
});

const sumsOf = ({
  y,
  x,
}: {
  readonly y: readonly number[];
  readonly x: readonly number[];
}): CovariateSums => {
  const sums = emptyCovariateSums();
  for (const [i, value] of y.entries()) addCovariate(sums, value, x[i]!);
  return sums;
};

describe("the covariate adjustment", () => {
  it("is gbstats'", () => {
    const { a, b, theta, difference, variance } = golden.covariate;
    const found = adjustDifference(sumsOf(a), sumsOf(b));
    expect(found?.slope).toBeCloseTo(theta, 9);
    expect(found?.difference).toBeCloseTo(difference, 9);
    expect(found?.variance).toBeCloseTo(variance, 9);
    expect(found?.reduction).toBeGreaterThan(0.5);
  });

  it("takes out the square of the correlation, leaves the difference unbiased, and needs a covariate that varies", () => {
    const random = createRandom(2);
    const arm = (effect: number): CovariateSums => {
      const sums = emptyCovariateSums();
      for (let i = 0; i < 20_000; i++) {
        const x = random.normal();
        addCovariate(sums, effect + 0.6 * x + 0.8 * random.normal(), x);
      }
      return sums;
    };
    const found = adjustDifference(arm(0), arm(0.1));
    expect(found?.reduction).toBeCloseTo(0.36, 1);
    expect(Math.abs((found?.difference ?? 0) - 0.1)).toBeLessThan(4 * Math.sqrt(found?.variance ?? 0));
    expect(adjustDifference(sumsOf({ y: [1, 2], x: [3, 3] }), sumsOf({ y: [1, 2], x: [3, 3] }))).toBeNull();
    expect(adjustDifference(sumsOf({ y: [1], x: [3] }), sumsOf({ y: [1, 2], x: [3, 4] }))).toBeNull();
    expect(varianceOfMean(sumsOf({ y: [1, 3], x: [0, 0] }), 0)).toBe(1);
  });
});

describe("the planned size", () => {
  const plan = { alpha: 0.05, power: 0.8, unitVariance: 4 * 0.25 };

  it("of one look is the textbook's, and the sequence needs more", () => {
    // 4 · ¼ · (1.96 + .8416)² / .1² over both arms.
    expect(fixedSize(plan, 0.1)).toBe(785);
    const rho = mixturePrecision(0.05, 1500);
    const n = sequentialSize(plan, 0.1, rho);
    expect(n).toBeGreaterThan(785);
    expect(detectableDifference(plan, n, rho)).toBeLessThanOrEqual(0.1);
    expect(detectableDifference(plan, n - 1, rho)).toBeGreaterThan(0.1);
    expect(() => fixedSize(plan, 0)).toThrow("a difference other than 0");
    expect(() => sequentialSize(plan, 0, rho)).toThrow(RangeError);
  });
});

it("quantiles, tails and the gamma function are scipy's", () => {
  for (const [p, expected] of golden.normalQuantile) expect(normalQuantile(p!)).toBeCloseTo(expected!, 9);
  for (const [x, degrees, expected] of golden.chiSquareTail) {
    expect(chiSquareTail(x!, degrees!) / expected!).toBeCloseTo(1, 9);
  }
  for (const [x, expected] of golden.logGamma) {
    expect(Math.abs(logGamma(x!) - expected!)).toBeLessThan(1e-12 * Math.max(1, Math.abs(expected!)) + 1e-13);
  }
  for (const wrong of [0, 1, NaN]) expect(() => normalQuantile(wrong)).toThrow(RangeError);
  expect(() => chiSquareTail(-1, 2)).toThrow(RangeError);
  expect(() => logGamma(0)).toThrow(RangeError);
});
