import type { Command } from "commander";
import pc from "picocolors";
import { evaluateDocuments, selectDocuments, type DomainReport } from "../evaluate-files.ts";
import { openEnsemble } from "../open-ensemble.ts";
import { createProgressBar } from "../progress-bar.ts";
import { evaluateChoiceFiles, fileLines, SHIPPED_CHOICES, type EvaluatedFile } from "./evaluate-choices.ts";
import { reportLines } from "./evaluate-text.ts";
import { tableLines, type Column } from "./table.ts";
import { wholeNumber } from "./whole-number.ts";

interface EvaluateAllOptions {
  readonly exact?: true;
  readonly limit?: number;
  readonly json?: true;
}

const SEED = 1;

/** Everything that Concord says of itself, on what neither its maps nor its decisions have seen. */
export function registerEvaluateAllCommand(evaluate: Command): void {
  evaluate
    .command("all")
    .description("text and closed choices that come with Concord, on what was held back, and a summary")
    .option("--exact", "also fuse without a shared space, by the members' own heads (slow)")
    .option("--limit <number>", "at most so many documents of a domain and items of a set", wholeNumber)
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      "\nA run that is killed goes on where it was.\n\nExample:\n  concord evaluate all --limit 30",
    )
    .action(async ({ limit, ...options }: EvaluateAllOptions) => {
      const exact = options.exact ?? false;
      const selection = await selectDocuments({
        files: [],
        split: "report",
        seed: SEED,
        exact,
        limit: limit ?? null,
      });
      const progress = createProgressBar();
      const opened = await openEnsemble({ progress });
      try {
        const text = await evaluateDocuments(opened, selection, progress);
        const choices = await evaluateChoiceFiles(
          opened,
          SHIPPED_CHOICES,
          { normalise: "auto", split: "report", seed: SEED, ...(limit !== undefined && { limit }) },
          progress,
        );
        const lines = options.json
          ? [JSON.stringify({ text, choices }, null, 2)]
          : [...text.flatMap(reportLines), ...choices.map(fileLines), ...summaryLines(text, choices)];
        process.stdout.write(`${lines.join("\n")}\n`);
      } finally {
        await opened.close();
      }
    });
}

interface SummaryRow {
  readonly what: string;
  readonly concord: string;
  readonly best: string;
  readonly difference: string;
}

const columns: readonly Column<SummaryRow>[] = [
  { title: "on what was held back", cell: ({ what }) => what, align: "left", expendable: 0 },
  { title: "concord", cell: ({ concord }) => concord, align: "right", expendable: 0 },
  { title: "best member", cell: ({ best }) => best, align: "right", expendable: 0 },
  { title: "difference, 95 %", cell: ({ difference }) => difference, align: "right", expendable: 0 },
];

function summaryLines(text: readonly DomainReport[], choices: readonly EvaluatedFile[]): string[] {
  const decided = choices.map(choiceRow);
  const mean = decided.reduce((sum, { gain }) => sum + gain, 0) / decided.length;
  const average = { what: "right, mean of the sets", concord: "", best: "", difference: points(mean) };
  return [
    pc.bold("summary"),
    ...tableLines(columns, [...text.map(textRow), ...decided, average], process.stdout.columns ?? Infinity),
  ];
}

function textRow({ domain, scores, comparison }: DomainReport): SummaryRow {
  const bits = (name: string): string =>
    scores.find((score) => score.name === name)?.bitsPerByte?.toFixed(4) ?? "–";
  const { ratio, ratioInterval } = comparison;
  const range = ratioInterval ? ` (${percent(ratioInterval.low)} to ${percent(ratioInterval.high)})` : "";
  return {
    what: `${domain}, bits per byte`,
    concord: bits(comparison.name),
    best: bits(comparison.against),
    difference: `${percent(ratio)}${range}`,
  };
}

function choiceRow({ name, report }: EvaluatedFile): SummaryRow & { readonly gain: number } {
  const row = report.rows.find((candidate) => candidate.name === "concord");
  const best = report.rows.find((candidate) => candidate.name === report.bestMember);
  if (row === undefined || best === undefined) throw new Error(`${name}: no rows to sum up`);
  const difference = 100 * (row.accuracy - best.accuracy);
  const interval = row.versusBest?.interval;
  const range = interval ? ` (${points(100 * interval.low)} to ${points(100 * interval.high)})` : "";
  return {
    what: `${name}, right`,
    concord: `${(100 * row.accuracy).toFixed(1)} %`,
    best: `${(100 * best.accuracy).toFixed(1)} %`,
    difference: `${points(difference)}${range}`,
    gain: difference,
  };
}

function percent(ratio: number): string {
  return `${ratio < 1 ? "−" : "+"}${Math.abs(100 * (ratio - 1)).toFixed(1)} %`;
}

function points(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)} points`;
}
