import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import pc from "picocolors";
import { ENSEMBLE_ID } from "../../../src/ensemble/engine.ts";
import type { ChoiceItem } from "../../../src/ensemble/option-tokens.ts";
import { createGateway } from "../../../src/gateway/app.ts";
import { mcnemarTest } from "../../../src/stats/mcnemar.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import { evenly } from "../score-choices-file.ts";
import { parseChoices } from "../choices-file.ts";
import { interruption } from "../interruption.ts";
import { openEngine } from "../open-engine.ts";
import { openExperiments } from "../open-experiments.ts";
import { runPaired, type JudgedPair, type PairedRunResult } from "../paired-run.ts";
import { createProgressBar, type ProgressBar } from "../progress-bar.ts";
import { startServer } from "../server.ts";
import { percent, pValue, points } from "./choices-table.ts";
import { wholeNumber } from "./whole-number.ts";

interface RunOptions {
  readonly on: string;
  readonly arms: readonly string[];
  readonly split: ChoiceItem["split"] | "all";
  readonly limit?: number;
  readonly name?: string;
  readonly url?: string;
  readonly alpha: number;
  readonly json?: true;
}

/** The splits, what nothing was learned from first. */
const SPLITS = ["report", "choose", "fit"] as const;

export function registerExperimentCommand(program: Command): void {
  program
    .command("experiment")
    .description("experiments on a gateway")
    .command("run")
    .description("a paired experiment over HTTP on questions whose answers are known")
    .requiredOption("--on <file>", "JSONL file of questions with fixed answers")
    .option("--arms <models...>", "two models", [ENSEMBLE_ID, "gemma-3-270m"])
    .option("--split <name>", "report, choose, fit or all: report first", splitName, "report")
    .option("--limit <number>", "at most so many items of a split, evenly over the file", wholeNumber)
    .option("--name <name>", "of the experiment (default: after the file and the arms)")
    .option("--url <url>", "of a running gateway (default: one is started on this machine)")
    .option("--alpha <number>", "probability of telling a difference that is not there", share, 0.05)
    .option("--json", "print JSON instead of sentences")
    .addHelpText("after", HELP)
    .action(run);
}

async function run(options: RunOptions): Promise<void> {
  const [first, second, ...others] = options.arms;
  if (first === undefined || second === undefined || others.length > 0 || first === second) {
    throw new Error(`--arms: expected two different models, got ${options.arms.join(" ")}`);
  }
  const items = itemsOf(parseChoices(options.on, await readFile(options.on, "utf8")), options);
  if (items.length === 0)
    throw new Error(`${options.on}: expected items of the split ${options.split}, got none`);
  const progress = createProgressBar();
  const signal = interruption();
  const gateway =
    options.url === undefined
      ? await startGateway(progress, signal)
      : { url: options.url, close: async () => {} };
  try {
    const result = await runPaired({
      url: gateway.url,
      apiKey: process.env["CONCORD_API_KEY"] || undefined,
      arms: [first, second],
      name: options.name,
      file: basename(options.on),
      items,
      alpha: options.alpha,
      progress,
      signal,
    });
    const summary = summaryOf(result, [first, second]);
    process.stdout.write(
      options.json ? `${JSON.stringify(summary, null, 2)}\n` : `${sentences(summary).join("\n")}\n`,
    );
  } finally {
    await gateway.close();
  }
}

function itemsOf(items: readonly ChoiceItem[], { split, limit }: RunOptions): ChoiceItem[] {
  const wanted = SPLITS.filter((name) => split === "all" || name === split);
  return wanted.flatMap((name) =>
    evenly(
      items.filter((item) => item.split === name),
      limit ?? null,
    ),
  );
}

/** A gateway for this run alone, on the loopback; its experiment and log are in CONCORD_HOME. */
async function startGateway(progress: ProgressBar, signal: AbortSignal) {
  const engine = await openEngine({ progress, signal, keepText: false });
  try {
    const opened = await openExperiments(engine, null);
    const app = createGateway({
      engine: opened.engine,
      experiments: opened,
      clock: systemClock,
      readiness: () => ({ ready: true }),
      apiKey: process.env["CONCORD_API_KEY"] || undefined,
    });
    const server = await startServer({ app, host: "127.0.0.1", port: 0 });
    const close = async (): Promise<void> => {
      await server.close();
      await opened.engine.drain(AbortSignal.abort());
      await engine.close();
    };
    return { url: server.url, close };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

interface Tally {
  readonly items: number;
  readonly first: number;
  readonly second: number;
  readonly difference: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  /** McNemar's exact test, for this many items decided on before. */
  readonly p: number;
}

interface Summary {
  readonly experiment: string;
  readonly arms: readonly [string, string];
  /** By split, and over all where there are several. */
  readonly results: readonly (Tally & { readonly split: string })[];
  readonly analysis: PairedRunResult["analysis"];
}

function summaryOf(
  { experiment, pairs, analysis }: PairedRunResult,
  arms: readonly [string, string],
): Summary {
  const splits = SPLITS.filter((split) => pairs.some(({ item }) => item.split === split));
  const results = splits.map((split) => ({
    split: split as string,
    ...tallyOf(pairs.filter(({ item }) => item.split === split)),
  }));
  const all = splits.length > 1 ? [{ split: "all", ...tallyOf(pairs) }] : [];
  return { experiment, arms, results: [...results, ...all], analysis };
}

function tallyOf(pairs: readonly JudgedPair[]): Tally {
  const count = (test: (pair: JudgedPair) => boolean): number => pairs.filter(test).length;
  const onlyFirst = count(({ first, second }) => first && !second);
  const onlySecond = count(({ first, second }) => second && !first);
  return {
    items: pairs.length,
    first: count(({ first }) => first) / pairs.length,
    second: count(({ second }) => second) / pairs.length,
    difference: (onlyFirst - onlySecond) / pairs.length,
    onlyFirst,
    onlySecond,
    p: mcnemarTest(onlyFirst, onlySecond),
  };
}

function sentences({ experiment, arms: [a, b], results, analysis }: Summary): string[] {
  return [
    `${pc.bold(experiment)}: ${a} against ${b}`,
    ...results.flatMap(({ split, items, first, second, difference, onlyFirst, onlySecond, p }) => [
      `${split}: ${items} items; right: ${a} ${percent(first)}, ${b} ${percent(second)}; difference ${points(difference)} points`,
      pc.dim(`  only ${a} right ${onlyFirst} times, only ${b} ${onlySecond} times: McNemar p ${pValue(p)}`),
    ]),
    `${pc.bold(analysis.verdict.replaceAll("_", " "))}: ${analysis.sentence}`,
    pc.dim(`  all ${analysis.units} units, ${analysis.method} sequence: valid however often one has looked`),
    `Its page, with the sequence over time, is /experiments/${experiment} of concord serve.`,
  ];
}

function splitName(text: string): RunOptions["split"] {
  const found = [...SPLITS, "all" as const].find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError("Expected report, choose, fit or all.");
  return found;
}

function share(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < 1)) throw new InvalidArgumentError("Expected a number above 0 and below 1.");
  return value;
}

const HELP = `
Every item is asked once, by /v1/completions with its choices: the first model's answer is returned, the second's is the
shadow. The right choice is then sent to /feedback. A run that was stopped goes on where it was. Decisions that come with
Concord were learned from the items of the splits fit and choose, so that only those of report say how good it is.

Examples:
  concord experiment run --on data/choices/piqa.jsonl
  concord experiment run --on data/choices/piqa.jsonl --split all --json
  concord experiment run --on quiz.jsonl --arms concord smollm2-135m-instruct --url http://127.0.0.1:8787`;
