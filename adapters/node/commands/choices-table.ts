import type { ChoiceReport, ChoiceReportRow } from "../../../src/ensemble/choice-report.ts";
import { BEST_MEMBER } from "../../../src/ensemble/choice-ways.ts";
import type { Interval } from "../../../src/stats/proportion.ts";
import { tableLines, type Column } from "./table.ts";

const columns: readonly Column<ChoiceReportRow>[] = [
  { title: "decided by", cell: (row) => row.name, align: "left", expendable: 0 },
  { title: "right", cell: (row) => percent(row.accuracy), align: "right", expendable: 0 },
  { title: "95 %", cell: (row) => interval(row.interval, percent), align: "right", expendable: 1 },
  {
    title: "to best member",
    cell: ({ versusBest }) => (versusBest === null ? "–" : points(versusBest.difference)),
    align: "right",
    expendable: 0,
  },
  {
    title: "95 %",
    cell: ({ versusBest }) => (versusBest === null ? "–" : interval(versusBest.interval, points)),
    align: "right",
    expendable: 1,
  },
  {
    title: "p",
    cell: ({ versusBest }) => (versusBest === null ? "–" : pValue(versusBest.p)),
    align: "right",
    expendable: 2,
  },
  {
    title: "per",
    cell: ({ normalisation }) =>
      normalisation === null ? "–" : normalisation === "bytes" ? "byte" : "choice",
    align: "left",
    expendable: 3,
  },
];

/** A report as lines for a terminal of `width` characters. */
export function choiceLines(report: ChoiceReport, width: number): string[] {
  return [...tableLines(columns, namedBest(report), width), ...notes(report)];
}

/** A report as a Markdown table. */
export function choiceMarkdown(report: ChoiceReport): string[] {
  return [
    markdownLine(columns.map(({ title }) => title)),
    markdownLine(columns.map(({ align }) => (align === "right" ? "--:" : "---"))),
    ...namedBest(report).map((row) => markdownLine(columns.map(({ cell }) => cell(row)))),
    "",
    ...notes(report),
  ];
}

/** Share as a percentage: `78.7 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Difference of two shares in percentage points: `+1.2`. */
export function points(difference: number): string {
  const value = Number((100 * difference).toFixed(1));
  if (value === 0) return "0.0";
  return `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(1)}`;
}

export function interval({ low, high }: Interval, told: (value: number) => string): string {
  return `${told(low)} to ${told(high)}`;
}

export function pValue(p: number): string {
  return p < 0.001 ? "<0.001" : p.toFixed(3);
}

function namedBest({ rows, bestMember }: ChoiceReport): ChoiceReportRow[] {
  return rows.map((row) => ({
    ...row,
    name: row.name === BEST_MEMBER ? `best member: ${bestMember}` : row.name,
  }));
}

function notes({ items, choosingItems, pickedOnTold, learnedItems }: ChoiceReport): string[] {
  const learned = `concord ${learnedNote(learnedItems)}`;
  if (choosingItems === 0) {
    return [
      `${items} items; none to choose on: the best member is best on these, and length does not count`,
      learned,
    ];
  }
  const others = pickedOnTold ? "of the same items: a little too high" : "other items";
  return [`${items} items; best member and what length counts picked on ${choosingItems} ${others}`, learned];
}

/** What concord's decision is, after its name. */
export function learnedNote(learnedItems: number): string {
  return learnedItems === 0
    ? 'decides by log-probability alone: no other items of the splits "fit" and "choose" to learn from'
    : `has learned to decide from ${learnedItems} other items`;
}

function markdownLine(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
