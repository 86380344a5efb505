import type { Command } from "commander";
import pc from "picocolors";
import type { EmbeddingReport, EmbeddingRow } from "../../../src/ensemble/evaluate-embeddings.ts";
import { evaluateShippedPairs } from "../evaluate-embeddings.ts";
import { interruption } from "../interruption.ts";
import { createProgressBar } from "../progress-bar.ts";
import { tableLines, type Column } from "./table.ts";
import { wholeNumber } from "./whole-number.ts";

interface EvaluateEmbeddingsOptions {
  readonly seed: number;
  readonly limit: number;
  readonly json?: true;
}

export function registerEvaluateEmbeddingsCommand(evaluate: Command): void {
  evaluate
    .command("embeddings")
    .description("how well texts find those that belong to them, by every way to make vectors")
    .option("--seed <number>", "of the fit of the sentence map, whose texts are left out", wholeNumber, 1)
    .option("--limit <pairs>", "of each set, at most", wholeNumber, 250)
    .option("--json", "print JSON instead of a table")
    .addHelpText("after", "\nExample:\n  concord evaluate embeddings --limit 50")
    .action(async ({ json, ...options }: EvaluateEmbeddingsOptions) => {
      const progress = createProgressBar();
      const report = await evaluateShippedPairs({ ...options, progress, signal: interruption() });
      const lines = json ? [JSON.stringify(report, null, 2)] : reportLines(report);
      process.stdout.write(`${lines.join("\n")}\n`);
    });
}

function reportLines({ sets, bestMember, rows }: EmbeddingReport): string[] {
  const columns: readonly Column<EmbeddingRow>[] = [
    { title: "vectors", cell: ({ name }) => name, align: "left", expendable: 0 },
    ...sets.map(({ name }, at): Column<EmbeddingRow> => ({
      title: name,
      cell: (row) => share(row.sets[at]),
      align: "right",
      expendable: 1,
    })),
    { title: "mean", cell: (row) => share(row.mean), align: "right", expendable: 0 },
    { title: "to best member, 95 %", cell: differenceOf, align: "right", expendable: 0 },
  ];
  const counted = sets.map(({ name, pairs }) => `${pairs} of ${name}`).join(", ");
  return [
    `mean reciprocal rank of a text's partner, of pairs: ${counted}`,
    ...tableLines(columns, rows, process.stdout.columns ?? Infinity),
    pc.dim(`best member, picked on these very pairs: ${bestMember}`),
  ];
}

function differenceOf({ versusBest }: EmbeddingRow): string {
  if (versusBest === null) return "–";
  const { difference, interval } = versusBest;
  return `${signed(difference)} (${signed(interval.low)} to ${signed(interval.high)})`;
}

const share = (value = Number.NaN): string => value.toFixed(3);
const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
