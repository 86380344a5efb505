import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Command } from "commander";
import pc from "picocolors";
import { interruptedWith, interruption } from "../../adapters/node/interruption.ts";
import { concordPaths } from "../../adapters/node/paths.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import { createChildren } from "./children.ts";
import { describeMachine, type Machine } from "./machine.ts";
import { markdownOf } from "./markdown.ts";
import type { BenchContext, Suite, SuiteResult } from "./suite.ts";

const ROUNDS = 5;

interface Options {
  readonly json?: true;
  readonly quick?: true;
  readonly peers: boolean;
  readonly rounds: number;
}

/** Everything of one run, as `--json` writes it. */
interface Report {
  readonly date: string;
  readonly command: string;
  readonly machine: Machine;
  readonly quick: boolean;
  readonly suites: Readonly<Record<string, SuiteResult>>;
}

/** The suites: every module that lies directly in `bench/`. */
async function findSuites(): Promise<Suite[]> {
  const folder = new URL("../", import.meta.url);
  const files = (await readdir(folder)).filter((name) => name.endsWith(".ts")).sort();
  return Promise.all(
    files.map(async (file) => {
      const suite = (await import(new URL(file, folder).href)) as Partial<Suite>;
      const { name, description, run } = suite;
      if (typeof name !== "string" || typeof description !== "string" || typeof run !== "function") {
        throw new Error(`bench/${file}: expected the exports name, description and run of a suite`);
      }
      return { name, description, run };
    }),
  );
}

const suites = await findSuites();
const program = new Command("npm run bench --")
  .description("Measures Concord against its peers, in turns, on this machine alone.")
  .argument("[suites...]", `which to run (default: all): ${suites.map(({ name }) => name).join(", ")}`)
  .option("--json", "every value as JSON on the standard output; the tables then go to the standard error")
  .option("--quick", "a tiny run that shows that everything works; its figures mean nothing")
  .option("--no-peers", "Concord alone: nothing is installed")
  .option("--rounds <number>", "how often each contender is measured", atLeastOne, ROUNDS)
  .addHelpText(
    "after",
    `\nSuites:\n${suites.map((s) => `  ${s.name.padEnd(10)}${s.description}`).join("\n")}`,
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

function atLeastOne(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  return program.error(`error: --rounds: expected a whole number from 1, got ${text}`, { exitCode: 2 });
}

async function main(): Promise<void> {
  program.parse();
  const options = program.opts<Options>();
  const chosen = choose(program.args);
  const report = await measure(chosen, options);
  if (options.json === true) process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
  (options.json === true ? process.stderr : process.stdout).write(`${document(report)}\n`);
}

function choose(names: readonly string[]): readonly Suite[] {
  if (names.length === 0) return suites;
  return names.map((name) => {
    const suite = suites.find((candidate) => candidate.name === name);
    if (suite !== undefined) return suite;
    const known = suites.map((candidate) => candidate.name).join(", ");
    return program.error(`error: there is no suite ${name}: expected some of ${known}`, { exitCode: 2 });
  });
}

async function measure(chosen: readonly Suite[], options: Options): Promise<Report> {
  const scratch = await mkdtemp(join(tmpdir(), "concord-bench-"));
  const cache = join(dirname(concordPaths().models), "bench");
  await mkdir(cache, { recursive: true });
  const children = createChildren();
  const quick = options.quick === true;
  const progress = createProgressBar();
  const context: BenchContext = {
    quick,
    rounds: quick ? 1 : options.rounds,
    peers: options.peers,
    progress,
    signal: interruption(),
    scratch,
    cache,
    children,
  };
  const results: Record<string, SuiteResult> = {};
  try {
    for (const suite of chosen) {
      progress.note(pc.bold(`${suite.name}: ${suite.description}`));
      results[suite.name] = await suite.run(context);
      await children.close();
    }
  } finally {
    progress.finish();
    await children.close();
    await rm(scratch, { recursive: true, force: true });
  }
  const command = ["npm run bench --", ...process.argv.slice(2)].join(" ");
  return { date: new Date().toISOString(), command, machine: describeMachine(), quick, suites: results };
}

function document({ date, command, machine, quick, suites: results }: Report): string {
  const { cpu, cores, memoryBytes, system, node, commit } = machine;
  const versions = Object.values(results).flatMap((result) => Object.entries(result.versions));
  const facts = [
    `\`${command}\`, ${date.slice(0, 10)}, commit ${commit ?? "unknown"}`,
    `${cpu}, ${cores} cores, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB, ${system}, Node ${node}`,
    ...(versions.length > 0 ? [versions.map((pair) => pair.join(" ")).join(", ")] : []),
  ];
  const warning = quick ? ["**A quick run: its figures mean nothing.**"] : [];
  const tables = Object.entries(results).map(([name, result]) => markdownOf(name, result));
  return [...warning, facts.map((fact) => `${fact}.`).join("  \n"), ...tables].join("\n\n");
}

try {
  await main();
} catch (error) {
  const interrupted = interruptedWith();
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(interrupted === null ? `${pc.red("error:")} ${message}\n` : "interrupted\n");
  process.exitCode = interrupted ?? 1;
}
