import { existsSync } from "node:fs";
import { InvalidArgumentError, type Command } from "commander";
import pc from "picocolors";
import type { AgreementLog, LogQuery } from "../../../src/ports/agreement-log.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import { createSqliteAgreementLog } from "../../sqlite/better-sqlite3.ts";
import { openDatabase } from "../../sqlite/open-database.ts";
import { interruption } from "../interruption.ts";
import { concordPaths } from "../paths.ts";
import type { LogContext, LogOutput } from "./log-context.ts";
import { registerLogExportCommand } from "./log-export.ts";
import { registerLogUpkeepCommands } from "./log-upkeep.ts";
import { moment } from "./moment.ts";
import { recordLines, requestLines } from "./log-view.ts";

interface ListOptions {
  readonly newest?: true;
  readonly limit: number;
  readonly model?: string;
  readonly since?: number;
  readonly json?: true;
}

const processContext: LogContext = {
  env: process.env,
  clock: systemClock,
  stdout: process.stdout,
  stderr: process.stderr,
  interruption,
};

/** `log` and what stands under it. An action that fails throws; the entry turns that into exit code 1. */
export function registerLogCommands(program: Command, context: LogContext = processContext): void {
  const log = program
    .command("log")
    .description("list answered requests, those on which the members disagreed most first")
    // What stands after a subcommand is its own, even where the list has an option of that name.
    .enablePositionalOptions()
    .option("--newest", "newest first instead")
    .option("-n, --limit <count>", "at most so many, 1 to 1000", limit, 20)
    .option("-m, --model <id>", "only answers of this model")
    .option(
      "--since <when>",
      "only answers since then: 30m, 24h, 7d, 2w, 2026-01-31 or 2026-01-31T08:00Z (UTC)",
      (text: string) => moment(text, context.clock),
    )
    .option("--json", "print the whole records as JSON")
    .addHelpText(
      "after",
      `
JSD is the mean Jensen–Shannon divergence of the members' next-token distributions in nats (0: the same; 0.69 = ln 2:
nothing in common, for two members). TOP-1 is the share of tokens at which all have the same first choice.

Examples:
  concord log --since 24h --limit 5
  concord log --newest --model concord
  concord log show chatcmpl-5f0c`,
    )
    .action((options: ListOptions) => list(options, context));

  log
    .command("show")
    .description("show everything the log has of one request")
    .argument("<request-id>", "the answer's id, as its x-request-id header says it")
    .option("--json", "print the record as JSON")
    .addHelpText("after", "\nExample:\n  concord log show chatcmpl-5f0c --json")
    .action((requestId: string, { json }: { readonly json?: true }) =>
      show(requestId, json === true, context),
    );

  registerLogExportCommand(log, context);
  registerLogUpkeepCommands(log, context);
}

async function list(options: ListOptions, context: LogContext): Promise<void> {
  const { stdout } = context;
  const query: LogQuery = {
    order: options.newest ? "time" : "disagreement",
    limit: options.limit,
    model: options.model,
    since: options.since,
  };
  const records = (await withLog(context, (log) => log.list(query))) ?? [];
  if (options.json) {
    stdout.write(`${JSON.stringify(records, null, 2)}\n`);
    return;
  }
  if (records.length === 0) {
    stdout.write(`${emptyMessage(query)}\n`);
    return;
  }
  stdout.write(`${requestLines(records, widthOf(stdout), colorsFor(stdout)).join("\n")}\n`);
}

async function show(requestId: string, json: boolean, context: LogContext): Promise<void> {
  const { stdout, env } = context;
  const record = await withLog(context, (log) => log.find(requestId));
  if (!record) {
    throw new Error(
      `the log has no request ${JSON.stringify(requestId)} (${concordPaths(env).database}); concord log --newest lists what it has`,
    );
  }
  stdout.write(
    json
      ? `${JSON.stringify(record, null, 2)}\n`
      : `${recordLines(record, widthOf(stdout), colorsFor(stdout)).join("\n")}\n`,
  );
}

/** Null when there is no log yet: reading creates none. */
async function withLog<Result>(
  context: LogContext,
  read: (log: AgreementLog) => Promise<Result>,
): Promise<Result | null> {
  const path = concordPaths(context.env).database;
  if (!existsSync(path)) return null;
  const database = openDatabase(path);
  const log = createSqliteAgreementLog(database);
  try {
    // Several statements see one state, whatever a gateway writes meanwhile.
    database.exec("begin");
    return await read(log);
  } finally {
    await log.close();
  }
}

function emptyMessage({ model, since }: LogQuery): string {
  const filters = [
    ...(model === undefined ? [] : [`of the model ${JSON.stringify(model)}`]),
    ...(since === undefined ? [] : [`since ${new Date(since).toISOString()}`]),
  ];
  return filters.length === 0
    ? 'The log is empty: nothing has been answered yet. Try: concord ask "Why is the sky blue?"'
    : `The log has no answer ${filters.join(" ")}.`;
}

function widthOf(stdout: LogOutput): number {
  return stdout.columns ?? Number.POSITIVE_INFINITY;
}

/** Colours only where a person reads. */
function colorsFor(stdout: LogOutput) {
  return pc.createColors(pc.isColorSupported && stdout.isTTY === true);
}

function limit(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= 1 && count <= 1000))
    throw new InvalidArgumentError("Expected a whole number from 1 to 1000.");
  return count;
}
