import { describe, expect, it } from "vitest";
import {
  choiceLines,
  choiceMarkdown,
  interval,
  points,
  pValue,
} from "../../adapters/node/commands/choices-table.ts";
import type { ChoiceReport } from "../../src/ensemble/choice-report.ts";

const report: ChoiceReport = {
  items: 200,
  choosingItems: 100,
  pickedOnTold: false,
  learnedItems: 300,
  bestMember: "gemma",
  rows: [
    {
      name: "best member",
      normalisation: "bytes",
      right: 140,
      accuracy: 0.7,
      interval: { low: 0.633, high: 0.759 },
      versusBest: null,
    },
    {
      name: "concord",
      normalisation: "none",
      right: 131,
      accuracy: 0.655,
      interval: { low: 0.587, high: 0.718 },
      versusBest: {
        difference: -0.045,
        interval: { low: -0.09, high: 0.005 },
        onlyFirst: 10,
        onlySecond: 19,
        p: 0.136,
      },
    },
  ],
};

describe("a table of choices", () => {
  it("has a line for each way, and tells what was picked where", () => {
    expect(choiceLines(report, 200)).toEqual([
      "decided by           right              95 %  to best member          95 %      p  per",
      "best member: gemma  70.0 %  63.3 % to 75.9 %               –             –      –  byte",
      "concord             65.5 %  58.7 % to 71.8 %            −4.5  −9.0 to +0.5  0.136  choice",
      "200 items; best member and what length counts picked on 100 other items",
      "concord has learned to decide from 300 other items",
    ]);
  });

  it("says so when what was told was also picked on", () => {
    const own = choiceLines({ ...report, pickedOnTold: true }, 200).at(-2);
    expect(own).toMatch(/picked on 100 of the same items: a little too high$/);
    const none = choiceLines({ ...report, choosingItems: 0, pickedOnTold: true }, 200).at(-2);
    expect(none).toMatch(/^200 items; none to choose on/);
    const unlearned = choiceLines({ ...report, learnedItems: 0 }, 200).at(-1);
    expect(unlearned).toMatch(/^concord decides by log-probability alone: no other items/);
  });

  it("is Markdown where asked", () => {
    expect(choiceMarkdown(report)).toEqual([
      "| decided by | right | 95 % | to best member | 95 % | p | per |",
      "| --- | --: | --: | --: | --: | --: | --- |",
      "| best member: gemma | 70.0 % | 63.3 % to 75.9 % | – | – | – | byte |",
      "| concord | 65.5 % | 58.7 % to 71.8 % | −4.5 | −9.0 to +0.5 | 0.136 | choice |",
      "",
      "200 items; best member and what length counts picked on 100 other items",
      "concord has learned to decide from 300 other items",
    ]);
  });

  it("signs differences and does not pretend small p-values", () => {
    expect(points(0)).toBe("0.0");
    expect(interval({ low: -0.0004, high: 0.012 }, points)).toBe("0.0 to +1.2");
    expect(pValue(0.0004)).toBe("<0.001");
  });
});
