import { describe, expect, it } from "vitest";
import { analyseExperiment } from "../../src/experiments/analyse.ts";
import { createRandom } from "../../src/linalg/random.ts";
import type { ArmCount, MetricDefinition, Observation } from "../../src/ports/experiments.ts";

const CORRECT: MetricDefinition = { name: "correct", kind: "boolean", bounds: null, better: "higher" };
const SECONDS: MetricDefinition = { name: "seconds", kind: "number", bounds: null, better: "lower" };

const experiment = (
  mode: "split" | "paired_shadow",
  changes: Partial<{ units: number; minimum: number }> = {},
) => ({
  mode,
  arms: [
    { name: "old", model: "a", weight: 1 },
    { name: "new", model: "b", weight: 1 },
  ],
  control: "old",
  plan: { alpha: 0.05, units: changes.units ?? 2000, minimumEffect: changes.minimum ?? null },
  allocations: [{ weights: { old: 1, new: 1 } }],
});

const counted = (old: number, fresh: number): ArmCount[] =>
  [["old", old] as const, ["new", fresh] as const].map(([arm, units]) => ({
    arm,
    units,
    answers: units,
    allocation: 0,
    role: "returned",
    status: "answered",
  }));

function observed(
  n: number,
  valuesOf: (i: number) => Record<string, number>,
  covariateOf: (i: number) => number = () => 0,
): Observation[] {
  return Array.from({ length: n }, (_, i) => ({
    sequence: i + 1,
    at: 1000 * i,
    unit: `u${i}`,
    values: valuesOf(i),
    judged: 1,
    covariate: covariateOf(i),
  }));
}

/** Right with these probabilities, in pairs that share the question's difficulty. */
function pairs(n: number, [old, fresh]: readonly [number, number], seed = 1): Observation[] {
  const random = createRandom(seed);
  return observed(n, () => {
    const difficulty = random.next();
    return { old: Number(difficulty < old), new: Number(difficulty < fresh || random.next() < 0.02) };
  });
}

describe("pairs", () => {
  it("tell a winner by a sequence that excludes 0 and never widens", () => {
    const { comparisons, sampleRatio } = analyseExperiment(
      experiment("paired_shadow"),
      CORRECT,
      pairs(900, [0.5, 0.62]),
      [],
    );
    const [found] = comparisons;
    expect(found).toMatchObject({
      arm: "new",
      units: 900,
      method: "betting",
      verdict: "winner",
      adjusted: null,
    });
    expect(found?.interval?.low).toBeGreaterThan(0);
    expect(found?.pValue).toBeLessThan(0.05);
    expect(found?.exact).toEqual(found?.interval);
    expect(found?.sentence).toMatch(/^new is better than old in correct by \+0\.1/);
    const { sequence = [] } = found ?? {};
    expect(sequence.length).toBeGreaterThan(100);
    expect(sequence.length).toBeLessThanOrEqual(201);
    expect(sequence.at(-1)?.units).toBe(900);
    for (const [i, point] of sequence.entries()) {
      const before = sequence[i - 1];
      if (before === undefined) continue;
      expect(point.low).toBeGreaterThanOrEqual(before.low);
      expect(point.high).toBeLessThanOrEqual(before.high);
    }
    expect(sampleRatio.alarm).toBe(false);
  });

  it("tell harm, by the way in which values are better", () => {
    const random = createRandom(4);
    const slower = observed(300, () => {
      const base = random.normal();
      return { old: base, new: base + 0.5 + 0.3 * random.normal() };
    });
    const [found] = analyseExperiment(experiment("paired_shadow"), SECONDS, slower, []).comparisons;
    expect(found).toMatchObject({ method: "asymptotic", exact: null, verdict: "stop_for_harm" });
    expect(found?.interval?.low).toBeGreaterThan(0);
    expect(found?.sentence).toMatch(/^new is worse than old in seconds.*: stop it\.$/);
  });

  it("that are not complete are no pairs", () => {
    const whole = pairs(50, [0.5, 0.5]);
    const some = observed(50, (i) => (i % 2 === 0 ? (whole[i]?.values ?? {}) : { old: 1 }));
    const { comparisons, arms } = analyseExperiment(experiment("paired_shadow"), CORRECT, some, []);
    expect(comparisons[0]?.units).toBe(25);
    expect(arms.map(({ units }) => units)).toEqual([50, 25]);
  });

  it("without a difference tell one in at most α of 300 experiments, looked at after every pair", () => {
    let told = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const random = createRandom(seed);
      const same = observed(200, () => ({
        old: Number(random.next() < 0.7),
        new: Number(random.next() < 0.7),
      }));
      const [found] = analyseExperiment(
        experiment("paired_shadow", { units: 400 }),
        CORRECT,
        same,
        [],
      ).comparisons;
      if (found?.verdict !== "keep_running") told++;
    }
    expect(told / 300).toBeLessThanOrEqual(0.05 + 3 * Math.sqrt((0.05 * 0.95) / 300));
  });
});

/** Every other unit in either arm. */
const split = (n: number, effect: number, seed = 1): Observation[] => {
  const random = createRandom(seed);
  const covariates = Array.from({ length: n }, () => random.normal());
  return observed(
    n,
    (i) => ({
      [i % 2 === 0 ? "old" : "new"]: 0.9 * covariates[i]! + 0.4 * random.normal() + (i % 2) * effect,
    }),
    (i) => covariates[i]!,
  );
};

const splitVerdict = (n: number, plan: { units?: number; minimum?: number }) =>
  analyseExperiment(experiment("split", plan), SECONDS, split(n, 0), counted(n / 2, n / 2)).comparisons[0]
    ?.verdict;

describe("a split", () => {
  it("tells a winner, and with the covariate's part taken out more narrowly", () => {
    const [found] = analyseExperiment(
      experiment("split"),
      { ...SECONDS, better: "higher" },
      split(1500, 0.4),
      counted(750, 750),
    ).comparisons;
    expect(found).toMatchObject({ method: "asymptotic", verdict: "winner", units: 1500 });
    const { interval, adjusted } = found ?? {};
    if (!interval || !adjusted) throw new Error("no intervals");
    expect(adjusted.reduction).toBeGreaterThan(0.6);
    expect(adjusted.interval.high - adjusted.interval.low).toBeLessThan(0.7 * (interval.high - interval.low));
    expect(adjusted.interval.low).toBeLessThan(0.4);
    expect(adjusted.interval.high).toBeGreaterThan(0.4);
  });

  it("says nothing before there are fifty units, and of what it plans as soon as the variance is known", () => {
    const [early] = analyseExperiment(
      experiment("split", { minimum: 0.2 }),
      SECONDS,
      split(40, 3),
      counted(20, 20),
    ).comparisons;
    expect(early).toMatchObject({ interval: null, verdict: "keep_running", pValue: 1, sequence: [] });
    expect(early?.size?.sequential).toBeGreaterThan(early?.size?.fixed ?? Infinity);
    const [none] = analyseExperiment(experiment("split"), SECONDS, [], counted(0, 0)).comparisons;
    expect(none).toMatchObject({
      units: 0,
      difference: null,
      interval: null,
      size: null,
      verdict: "keep_running",
    });
    expect(none?.sentence).toBe("Not decided; 2000 of 2000 planned units are to come.");
  });

  it("ends without a difference at the planned size, or sooner where none that matters is left", () => {
    expect(splitVerdict(600, { units: 600 })).toBe("no_difference");
    expect(splitVerdict(600, { units: 6000 })).toBe("keep_running");
    expect(splitVerdict(600, { units: 6000, minimum: 1 })).toBe("no_difference");
  });

  it("of proportions also has the interval that needs no normality", () => {
    const random = createRandom(9);
    const coins = observed(2000, (i) => ({
      [i % 2 === 0 ? "old" : "new"]: Number(random.next() < (i % 2 === 0 ? 0.2 : 0.5)),
    }));
    const [found] = analyseExperiment(experiment("split"), CORRECT, coins, counted(1000, 1000)).comparisons;
    const { exact, interval } = found ?? {};
    if (!exact || !interval) throw new Error("no intervals");
    expect(exact.low).toBeGreaterThan(0);
    expect(exact.low).toBeLessThan(0.3);
    expect(exact.high - exact.low).toBeGreaterThan(interval.high - interval.low);
  });

  it("whose arms did not get the units that they were dealt is not to be trusted", () => {
    const { comparisons, sampleRatio } = analyseExperiment(
      experiment("split"),
      SECONDS,
      split(1500, 0.4),
      counted(850, 650),
    );
    expect(sampleRatio.alarm).toBe(true);
    expect(comparisons[0]?.verdict).toBe("not_to_be_trusted");
  });

  it("of three arms holds each against the control at half the level", () => {
    const three = {
      ...experiment("split"),
      arms: ["old", "new", "other"].map((name) => ({ name, model: name, weight: 1 })),
      allocations: [{ weights: { old: 1, new: 1, other: 1 } }],
    };
    const random = createRandom(6);
    const values = observed(900, (i) => ({ [["old", "new", "other"][i % 3]!]: random.normal() }));
    const { comparisons, alpha } = analyseExperiment(three, SECONDS, values, []);
    expect(comparisons.map(({ arm }) => arm)).toEqual(["new", "other"]);
    expect(alpha).toBe(0.05);
    expect(comparisons[0]?.sentence).toContain("97.5 % at any time");
  });
});
