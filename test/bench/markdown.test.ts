import { expect, test } from "vitest";
import { holds, markdownOf, number } from "../../bench/harness/markdown.ts";
import type { Load, SuiteResult } from "../../bench/harness/suite.ts";

const quiet: Load = { othersCores: 0, steal: 0 };
const busy: Load = { othersCores: 0.8, steal: 0 };
const loads = [quiet, quiet, quiet];

const result: SuiteResult = {
  rows: [
    {
      what: "decode",
      unit: "tokens/s",
      better: "higher",
      samples: [
        { contender: "concord", values: [74, 76, 75], loads },
        { contender: "peer", values: [50, 51, 49], loads: [busy, busy, quiet] },
        { contender: "floor", reference: true, values: [100, 100, 100], loads },
        { contender: "too slow", values: [Number.NaN, Number.NaN, Number.NaN], loads },
      ],
    },
  ],
  claims: [
    { what: "decode ÷ peer", value: 1.5, limit: 1.3, bound: "at least" },
    { what: "memory, MB", value: 1700, limit: 1600, bound: "at most" },
  ],
  notes: ["What each is."],
  versions: {},
};

test("a table has medians with their ranges, ratios ours ÷ theirs, and marks where others were busy", () => {
  const text = markdownOf("engine", result);
  expect(text).toContain("|  | concord | peer | floor | too slow |\n| :-- | --: | --: | --: | --: |\n");
  expect(text).toContain(
    "| decode, tokens/s (more is better) | 75.0 (74.0–76.0) | 50.0 (49.0–51.0) † · **1.49 ×** | 100 (100–100) | – |",
  );
});

test("what has to hold is told to hold or to fail", () => {
  const text = markdownOf("engine", result);
  expect(text).toContain("| decode ÷ peer | at least 1.30 | 1.50 | holds |");
  expect(text).toContain("| memory, MB | at most 1,600 | 1,700 | **fails** |");
  expect(holds({ what: "", value: 5, limit: 5, bound: "at most" })).toBe(true);
  expect(holds({ what: "", value: Number.NaN, limit: 5, bound: "at most" })).toBe(false);
});

test("the notes say during how many measurements others used the machine", () => {
  expect(markdownOf("engine", result)).toContain("busy with other work during 2 of 12 measurements");
});

test("rows of other contenders have a table of their own", () => {
  const [row] = result.rows;
  if (row === undefined) throw new Error("no row");
  const alone = { ...row, what: "gap", samples: row.samples.slice(0, 1) };
  const text = markdownOf("engine", { ...result, rows: [row, alone] });
  expect(text).toContain("|  | concord |\n| :-- | --: |\n| gap,");
});

test.each([
  [0, "0"],
  [0.01234, "0.012"],
  [1.2345, "1.23"],
  [12.345, "12.3"],
  [123.45, "123"],
  [12_345.6, "12,346"],
  [-0.5, "-0.500"],
])("%d is written %s", (value, text) => {
  expect(number(value)).toBe(text);
});
