import { describe, expect, it } from "vitest";
import { betterOf } from "../../src/ensemble/better-of.ts";
import { reportChoices } from "../../src/ensemble/choice-report.ts";
import {
  BEST_MEMBER,
  MAJORITY_VOTE,
  ORACLE,
  type Normalisation,
  type ScoredItem,
} from "../../src/ensemble/choice-ways.ts";
import { compareTexts } from "../../src/ensemble/compare-texts.ts";
import {
  BY_LOG_PROBABILITY,
  MEAN_OF_PROBABILITIES,
  throughSharedSpace,
  withHead,
} from "../../src/ensemble/row-names.ts";

const memberIds = ["a", "b", "c"];

interface Said {
  readonly label: number;
  readonly bytes?: readonly number[];
  /** Log-probabilities of the choices by each member; `rest` for all other rows. */
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly c: readonly number[];
  readonly rest?: readonly number[];
}

function scored({ label, bytes, rest, ...own }: Said): ScoredItem {
  const others = [...memberIds.map(throughSharedSpace), MEAN_OF_PROBABILITIES, BY_LOG_PROBABILITY];
  const tokens = own.a.map(() => 1);
  return {
    item: { id: "it", context: "", choices: own.a.map(String), label, split: "report" },
    scores: {
      bytes: bytes ?? own.a.map(() => 1),
      alone: Object.entries(own).map(([name, logprobs]) => {
        const states = logprobs.map((logprob) => Float32Array.of(logprob, 1));
        return { name, logprobs, tokens, states };
      }),
      together: others.map((name) => ({ name, logprobs: rest ?? own.a, tokens })),
    },
  };
}

const [clearFirst, faintFirst, clearSecond, faintSecond] = [
  [-1, -9],
  [-4, -5],
  [-9, -1],
  [-5, -4],
];

function rowsOf(
  told: readonly ScoredItem[],
  choosing: readonly ScoredItem[],
  normalise: Normalisation | "auto",
  fit: readonly ScoredItem[] = [],
) {
  const report = reportChoices({ told, choosing, fit }, { memberIds, normalise, seed: 1 });
  const row = (name: string) => {
    const found = report.rows.find((candidate) => candidate.name === name);
    if (found === undefined) throw new Error(`no row ${name}`);
    return found;
  };
  return { report, row };
}

describe("a report on choices", () => {
  it("counts the majority, whatever the minority is sure of", () => {
    const told = [scored({ label: 0, a: faintFirst, b: faintFirst, c: clearSecond })];
    expect(rowsOf(told, [], "none").row(MAJORITY_VOTE).right).toBe(1);
  });

  it("lets the clearest member decide where as many are for either", () => {
    const three = { a: [-4, -5, -6], b: [-9, -1, -9], c: [-6, -5, -4.5] };
    expect(rowsOf([scored({ label: 1, ...three })], [], "none").row(MAJORITY_VOTE).right).toBe(1);
    expect(rowsOf([scored({ label: 0, ...three })], [], "none").row(MAJORITY_VOTE).right).toBe(0);
  });

  it("has an oracle that is right where any member alone is", () => {
    const told = [
      scored({ label: 0, a: clearSecond, b: clearSecond, c: faintFirst }),
      scored({ label: 0, a: clearSecond, b: faintSecond, c: clearSecond, rest: clearFirst }),
    ];
    expect(rowsOf(told, [], "none").row(ORACLE).right).toBe(1);
  });

  it("takes as best the member that is best on the items to choose on, though another is on those told", () => {
    const choosing = [scored({ label: 0, a: clearSecond, b: clearFirst, c: clearSecond })];
    const told = [scored({ label: 0, a: clearFirst, b: clearSecond, c: clearFirst })];
    const { report, row } = rowsOf(told, choosing, "none");
    expect(report).toMatchObject({ items: 1, choosingItems: 1, pickedOnTold: false, bestMember: "b" });
    expect(row(BEST_MEMBER)).toMatchObject({ right: 0, versusBest: null });
    expect(row("a").versusBest).toMatchObject({ difference: 1, onlyFirst: 1, onlySecond: 0, p: 1 });
  });

  it("normalises by bytes where that is better on the items to choose on, each way for itself", () => {
    // Unnormalised the first is likelier, per byte the second.
    const long = { bytes: [2, 10], a: [-4, -10], c: [-4, -10] };
    const choosing = [scored({ label: 1, ...long, b: [-30, -10] })];
    const told = [scored({ label: 1, ...long, b: [-4, -10] })];
    const { row } = rowsOf(told, choosing, "auto");
    expect(row("a")).toMatchObject({ normalisation: "bytes", right: 1 });
    expect(row("b")).toMatchObject({ normalisation: "none", right: 0 });
    expect(rowsOf(told, choosing, "none").row("a").right).toBe(0);
    expect(rowsOf(told, choosing, "bytes").row("b").right).toBe(1);
  });

  it("does not normalise on its own where there are no items to choose on", () => {
    const told = [scored({ label: 1, bytes: [2, 10], a: [-4, -10], b: [-4, -10], c: [-4, -10] })];
    const { report, row } = rowsOf(told, [], "auto");
    expect(report).toMatchObject({ choosingItems: 0, pickedOnTold: true });
    expect(row("a").normalisation).toBe("none");
  });

  it("has the same intervals for the same seed", () => {
    const told = Array.from({ length: 30 }, (_, i) =>
      scored({
        label: 0,
        a: i % 3 ? clearFirst : clearSecond,
        b: clearFirst,
        c: i % 2 ? clearFirst : faintSecond,
      }),
    );
    const { report, row } = rowsOf(told, told, "auto");
    expect(rowsOf(told, told, "auto").report).toEqual(report);
    expect(report.pickedOnTold).toBe(true);
    expect(row("a").versusBest?.difference).toBeCloseTo(-1 / 3, 12);
    expect(row("a").versusBest?.interval.high).toBeLessThan(0);
  });
});

describe("what was learned", () => {
  // Members a and c always take the first; b knows the answer, and says the opposite.
  const items = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1].map((label) =>
    scored({ label, a: [-1, -2], b: label === 0 ? [-5, -1] : [-1, -5], c: [-1, -2] }),
  );

  it("decides as concord, and each member's own beside it, where there are items to learn from", () => {
    const { report, row } = rowsOf(items, items, "none", items);
    expect(report.learnedItems).toBe(40);
    expect(row("concord")).toMatchObject({ right: 20, normalisation: null });
    expect(row(withHead("b")).right).toBe(20);
    expect(row(withHead("a")).right).toBe(10);
    expect(row(BY_LOG_PROBABILITY)).toMatchObject({ right: 10, normalisation: "none" });
    expect(row("b").right).toBe(0);
  });

  it("is nothing without such items, and concord then decides by log-probability", () => {
    const { report, row } = rowsOf(items, items, "none");
    expect(report.learnedItems).toBe(0);
    expect(row("concord")).toMatchObject({ right: 10, normalisation: "none" });
    expect(report.rows.map(({ name }) => name)).not.toContain(BY_LOG_PROBABILITY);
    expect(rowsOf(items, [], "none", items).report.learnedItems).toBe(0);
  });
});

describe("the better of two", () => {
  it("is the first where the whole interval speaks for it", () => {
    expect(betterOf({ low: 0.01, high: 0.05 }, { higherIsBetter: true, p: 0.01 })).toBe("first");
    expect(betterOf({ low: -0.05, high: -0.01 }, { higherIsBetter: true, p: 0.01 })).toBe("second");
    expect(betterOf({ low: -0.05, high: -0.01 }, { higherIsBetter: false })).toBe("first");
  });

  it("is neither where the interval holds 0, or the test does not agree", () => {
    expect(betterOf({ low: 0, high: 0.05 }, { higherIsBetter: true, p: 0.01 })).toBeNull();
    expect(betterOf({ low: -0.01, high: 0 }, { higherIsBetter: false })).toBeNull();
    expect(betterOf({ low: 0.01, high: 0.05 }, { higherIsBetter: true, p: 0.05 })).toBeNull();
  });
});

describe("a comparison on texts", () => {
  it("weighs paragraphs by their bytes", () => {
    const paragraphs = [
      { bytes: 100, first: 100 * Math.LN2, second: 120 * Math.LN2 },
      { bytes: 300, first: 300 * Math.LN2, second: 330 * Math.LN2 },
    ];
    const found = compareTexts(paragraphs, 1);
    expect(found).toMatchObject({ paragraphs: 2, bytes: 400 });
    expect(found.first).toBeCloseTo(1, 12);
    expect(found.second).toBeCloseTo(1.125, 12);
    expect(found.difference).toBeCloseTo(-0.125, 12);
    expect(found.interval.low).toBeCloseTo(-0.2, 12);
    expect(found.interval.high).toBeCloseTo(-0.1, 12);
  });
});
