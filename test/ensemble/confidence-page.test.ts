import { describe, expect, it } from "vitest";
import { confidencePage } from "../../src/ensemble/confidence-page.ts";
import type { ConfidenceRow, SetReport } from "../../src/ensemble/confidence-report.ts";

const estimate = (value: number) => ({ value, interval: { low: value - 0.01, high: value + 0.01 } });
const row: ConfidenceRow = {
  name: "concord",
  calibrated: true,
  items: 40,
  accuracy: 0.75,
  eceWidth: estimate(0.02),
  eceMass: estimate(0.025),
  eceByChance: 0.03,
  brier: 0.2,
  nll: 0.5,
  auroc: estimate(0.8),
  aurc: 0.1,
  bins: [{ low: 0.6, high: 0.8, count: 40, confidence: 0.7, accuracy: 0.75 }],
  riskCoverage: [
    { threshold: 0.9, coverage: 0.5, risk: 0.1 },
    { threshold: 0.6, coverage: 1, risk: 0.25 },
  ],
};
const set: SetReport = {
  name: "a <b> & c",
  rows: [row, { ...row, name: "rival, own probability", calibrated: false, auroc: estimate(NaN) }],
  sets: [{ name: "concord", level: 0.9, coverage: 0.912, size: 1.4, byChance: 0.04 }],
  disagreement: null,
};

describe("the page of confidences", () => {
  const page = confidencePage({ about: ["Members: a, b."], sets: [set] });

  it("shows every way's numbers, sets and curves, escaped, for either light", () => {
    expect(page).toContain("a &lt;b&gt; &amp; c");
    expect(page).toContain("<td>0.020 (0.010–0.030)</td>");
    expect(page).toContain("<td>91.2 %</td>");
    expect(page).toContain("<td>– (–––)</td>");
    expect(page).toContain("40 answers of mean confidence 0.700: 75.0 % right");
    expect(page).toContain("prefers-color-scheme:dark");
    expect(page.match(/<figure /g)).toHaveLength(2);
  });

  it("asks for nothing from elsewhere", () => {
    expect(page).not.toMatch(/src=|href=|url\(|@import/);
  });
});
