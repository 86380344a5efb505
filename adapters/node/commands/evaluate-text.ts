import { Option, type Command } from "commander";
import pc from "picocolors";
import type { CorpusSplit } from "../../../src/ensemble/corpus.ts";
import type { BestComparison } from "../../../src/ensemble/text-scores.ts";
import type { Interval } from "../../../src/stats/proportion.ts";
import { evaluateDocuments, selectDocuments, type DomainReport } from "../evaluate-files.ts";
import { openEnsemble } from "../open-ensemble.ts";
import { createProgressBar } from "../progress-bar.ts";
import { scoreLines } from "./scores-table.ts";
import { wholeNumber } from "./whole-number.ts";

interface EvaluateTextOptions {
  readonly split?: keyof CorpusSplit;
  readonly seed: number;
  readonly exact?: true;
  readonly limit?: number;
  readonly json?: true;
}

export function registerEvaluateTextCommand(evaluate: Command): void {
  evaluate
    .command("text")
    .argument(
      "[files...]",
      "UTF-8 texts, or .jsonl with a document a line (default: Concord's own, four domains)",
    )
    .description("bits per byte of text under each member alone and under the ensemble: lower is better")
    .addOption(
      new Option("--split <part>", "only the documents that a fit keeps for this").choices([
        "fit",
        "choose",
        "report",
      ]),
    )
    .option("--seed <number>", "of that fit", wholeNumber, 1)
    .option("--exact", "with a split: also fuse without a shared space, by the members' own heads (slow)")
    .option("--limit <documents>", "at most this many of each domain", wholeNumber)
    .option("--json", "print JSON instead of tables")
    .addHelpText(
      "after",
      "\nA run that is killed goes on where it was.\n\nExamples:\n" +
        "  concord evaluate text article.txt\n  concord evaluate text --split report --exact",
    )
    .action(async (files: readonly string[], options: EvaluateTextOptions) => {
      // Before the members, which take a while to start: a wrong file is told at once.
      const selection = await selectDocuments({
        files,
        split: options.split ?? null,
        seed: options.seed,
        exact: options.exact ?? false,
        limit: options.limit ?? null,
      });
      const progress = createProgressBar();
      const opened = await openEnsemble({ progress });
      try {
        const reports = await evaluateDocuments(opened, selection, progress);
        const lines = options.json ? [JSON.stringify(reports, null, 2)] : reports.flatMap(reportLines);
        process.stdout.write(`${lines.join("\n")}\n`);
      } finally {
        await opened.close();
      }
    });
}

export function reportLines({
  domain,
  documents,
  bytes,
  scores,
  comparison,
  baselines,
}: DomainReport): string[] {
  const { against, difference, interval } = comparison;
  return [
    `${pc.bold(domain)} ${pc.dim(`${documents} ${documents === 1 ? "document" : "documents"}, ${bytes} bytes`)}`,
    ...scoreLines(scores, process.stdout.columns ?? Infinity),
    `concord − ${against}, the best member: ${signed(difference)} bits/byte${range(interval, signed)}`,
    ...[comparison, ...baselines].map(ratioLine),
    "",
  ];
}

function ratioLine({ against, ratio, ratioInterval }: BestComparison): string {
  return `concord / ${against}: ${ratio.toFixed(4)}${range(ratioInterval, (value) => value.toFixed(4))}`;
}

function range(interval: Interval | null, written: (value: number) => string): string {
  return interval === null ? "" : `, 95 % interval ${written(interval.low)} to ${written(interval.high)}`;
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;
}
