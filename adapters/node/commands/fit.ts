import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import pc from "picocolors";
import { ckaHeatMap, ckaTable } from "../../../src/alignment/cka-report.ts";
import { compareLayers } from "../compare-layers.ts";
import { DEFAULT_CORPUS } from "../corpus-files.ts";
import { qualityChart } from "../../../src/ensemble/quality-chart.ts";
import { BLOCK_SIZE, fitToFile, type FitOutcome } from "../fit.ts";
import { fittedSpacePath } from "../open-ensemble.ts";
import { createProgressBar } from "../progress-bar.ts";
import { registerFitSentencesCommand } from "./fit-sentences.ts";
import { qualityLines } from "./quality-table.ts";
import { scoreLines } from "./scores-table.ts";
import { wholeNumber } from "./whole-number.ts";

interface FitCommandOptions {
  readonly dimension?: number;
  readonly seed: number;
  readonly eigenvalueFloor: number;
  readonly tokens?: number;
  readonly fast?: true;
  readonly output?: string;
  readonly report?: string | true;
  readonly json?: true;
}

export function registerFitCommand(program: Command): void {
  const fit = program.command("fit").enablePositionalOptions();
  registerFitSentencesCommand(fit);
  fit
    .argument(
      "[corpus...]",
      "UTF-8 texts, their documents separated by blank lines, or .jsonl with one a line (default: four domains)",
    )
    .description("learn the shared space from a text; what it writes is used from the next start on")
    .option(
      "-k, --dimension <number>",
      "of the shared space: more is better and slower (default: the sum of the members' widths)",
      blocks,
    )
    .option(
      "--seed <number>",
      "decides which documents are fitted on and which are held back",
      wholeNumber,
      1,
    )
    .option(
      "--eigenvalue-floor <share>",
      "regularisation: smallest eigenvalue kept, as a share of the largest",
      share,
      1e-6,
    )
    .option(
      "--tokens <number>",
      "of the corpus to fit on, at most (default: 40000; 12000 with --fast)",
      wholeNumber,
    )
    .option("--fast", "closed form alone, on less of the corpus: a quarter of the time, and not as good")
    .option("-o, --output <file>", "where the map goes (default: in CONCORD_HOME, where the gateway looks)")
    .option(
      "--report [folder]",
      "also compare the members' layers (CKA) and measure quality by dimension and by tokens: tables, and SVGs in the " +
        "folder (default: .); some ten minutes more",
    )
    .option("--json", "print the fit record as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  concord fit\n  concord fit articles.txt --dimension 640 --fast --report docs",
    )
    .action(async (corpus: readonly string[], options: FitCommandOptions) => {
      const output = resolve(options.output ?? fittedSpacePath());
      const outcome = await fitToFile({
        corpus: corpus.length > 0 ? corpus : DEFAULT_CORPUS,
        output,
        dimension: options.dimension ?? null,
        seed: options.seed,
        eigenvalueFloor: options.eigenvalueFloor,
        tokens: options.tokens ?? null,
        fast: options.fast === true,
        report: options.report !== undefined,
        progress: createProgressBar(),
      });
      if (options.json) process.stdout.write(`${JSON.stringify(jsonOf(outcome), null, 2)}\n`);
      else process.stdout.write(`${summary(outcome, output).join("\n")}\n`);
      if (options.report !== undefined) {
        await writeReport(outcome, options.report === true ? "." : options.report, options.json === true);
      }
    });
}

/** The fit record, with the report's numbers if there are any. */
function jsonOf({ record, quality }: FitOutcome): object {
  return quality === null ? record : { ...record, quality };
}

function summary({ record }: FitOutcome, output: string): string[] {
  const { corpus, members, dimension, heldOut, routes } = record;
  const weights = members.map(({ id, weight }) => `${id} ${weight.toFixed(3)}`).join(", ");
  return [
    `${corpus.fitTokens} tokens of ${corpus.fitDocuments} documents → a space of ${dimension} dimensions`,
    `weights, chosen on ${corpus.chooseDocuments} other documents: ${weights}`,
    ...routes.map(
      ({ member, ratio }) =>
        `${member} answers a text alone where the anchor needs ${ratio.toFixed(2)} times its tokens`,
    ),
    `on ${corpus.reportDocuments} documents that neither has seen:`,
    ...scoreLines(heldOut, process.stdout.columns ?? Infinity),
    pc.dim(output),
  ];
}

async function writeReport(outcome: FitOutcome, folder: string, quiet: boolean): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = async (name: string, svg: string, table: string): Promise<void> => {
    const path = join(folder, `${name}.svg`);
    await writeFile(path, svg);
    if (!quiet) process.stdout.write(`\n${table}\n${pc.dim(path)}\n`);
  };
  for (const { name, map } of compareLayers(outcome)) await write(name, ckaHeatMap(map), ckaTable(map));
  const { quality } = outcome;
  if (quality === null) return;
  const table = qualityLines(quality, process.stdout.columns ?? Infinity);
  await write(`fit-quality-${quality.ids.join("-")}`, qualityChart(quality), table.join("\n"));
}

function blocks(text: string): number {
  const value = wholeNumber(text);
  if (value === 0 || value % BLOCK_SIZE !== 0) {
    throw new InvalidArgumentError(`Expected a multiple of ${BLOCK_SIZE}.`);
  }
  return value;
}

function share(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < 1)) throw new InvalidArgumentError("Expected a number between 0 and 1.");
  return value;
}
