import { extname } from "node:path";
import { Option, type Command } from "commander";
import { count } from "../../../src/dashboard/format.ts";
import type { TimeRange } from "../../../src/ports/observations.ts";
import { silentProgress } from "../../../src/ports/progress.ts";
import { countAnswers, recordsInOrder } from "../../sqlite/records-in-order.ts";
import {
  checkUnused,
  EXPORT_FORMATS,
  exportLines,
  exportParquet,
  streamLines,
  unfinishedExport,
  type ExportFormat,
  type ExportTask,
  type LineSink,
} from "../export-log.ts";
import { endSignal, progressOf, withDatabase, type LogContext, type LogOutput } from "./log-context.ts";
import { moment } from "./moment.ts";

interface ExportOptions {
  readonly format?: ExportFormat;
  readonly since?: SpelledMoment;
  readonly until?: SpelledMoment;
  readonly model?: string;
  readonly resume?: true;
  readonly json?: true;
}

/** A moment, and how it was asked for: `24h` is another one each time. */
interface SpelledMoment {
  readonly text: string;
  readonly at: number;
}

const EXTENSIONS: Readonly<Record<string, ExportFormat>> = {
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  ".csv": "csv",
  ".parquet": "parquet",
};

/** `log export`. */
export function registerLogExportCommand(log: Command, context: LogContext): void {
  const spelled = (text: string): SpelledMoment => ({ text, at: moment(text, context.clock) });
  log
    .command("export")
    .description("write logged answers to a file or to the standard output, the oldest first")
    .argument("[file]", "where to; without one the standard output gets lines")
    .addOption(
      new Option("-f, --format <name>", "by the file's ending where it has one, else jsonl").choices(
        EXPORT_FORMATS,
      ),
    )
    .option(
      "--since <when>",
      "only answers since then: 24h, 7d, 2026-01-31 or 2026-01-31T08:00Z (UTC)",
      spelled,
    )
    .option("--until <when>", "only answers before then (default: now)", spelled)
    .option("-m, --model <id>", "only answers of this model")
    .option("--resume", "go on where an export of the same to this file was interrupted or killed")
    .option("--json", "tell what was written as JSON")
    .addHelpText("after", HELP)
    .action((file: string | undefined, options: ExportOptions, command: Command) =>
      exportLog(file, options, command, context),
    );
}

const HELP = `
jsonl has whole records, as log show --json prints them; csv (RFC 4180) and parquet have a column for each number, and
the members as JSON. A file has its name only once it is whole. Prompts and answers are in it where the log keeps them.

Examples:
  concord log export answers.jsonl
  concord log export answers.jsonl --resume
  concord log export --since 24h --format csv | gzip > day.csv.gz
  concord log export january.parquet --since 2026-01-01 --until 2026-02-01 --model concord`;

async function exportLog(
  file: string | undefined,
  options: ExportOptions,
  command: Command,
  context: LogContext,
): Promise<void> {
  const { model, resume = false, json = false } = options;
  const format = options.format ?? EXTENSIONS[extname(file ?? "").toLowerCase()] ?? "jsonl";
  const range = {
    from: options.since?.at ?? Number.MIN_SAFE_INTEGER,
    to: options.until?.at ?? context.clock.now(),
  };
  if (range.from >= range.to) command.error("error: --since must be before --until");
  if (format === "parquet" && resume) {
    command.error("error: --resume goes on with jsonl and csv alone: a parquet file is made anew");
  }
  if (file === undefined) {
    if (format === "parquet") command.error("error: parquet needs a file to write to");
    if (resume) command.error("error: --resume needs the file that was interrupted");
    if (json) command.error("error: --json needs a file: the standard output has the answers");
  }
  await withDatabase(context, async (database) => {
    const run = async (part: TimeRange, write: (task: ExportTask) => Promise<number>): Promise<number> => {
      const progress = progressOf(context, file === undefined);
      progress.stage(
        "export",
        progress === silentProgress ? 0 : countAnswers(database, part, { model }),
        "answers",
      );
      try {
        return await write({
          pages: (after) => recordsInOrder(database, part, { model }, after),
          signal: endSignal(context),
          onProgress: (answers) => progress.update(answers),
        });
      } finally {
        progress.finish();
      }
    };
    if (file === undefined) {
      const lines = format === "csv" ? "csv" : "jsonl";
      await run(range, (task) => streamLines(lines, sinkOf(context.stdout), task));
      return;
    }
    if (!resume) await checkUnused(file);
    let answers: number;
    if (format === "parquet") {
      answers = await run(range, (task) => exportParquet(file, task));
    } else {
      const identity = { format, asked: askedOf(options) };
      const begun = resume ? await unfinishedExport(file, identity) : null;
      const start = begun ?? { ...identity, range, done: null };
      answers = await run(start.range, (task) => exportLines(file, start, task));
    }
    const told = json ? JSON.stringify({ file, format, answers }) : `${file}: ${count(answers)} answers`;
    context.stdout.write(`${told}\n`);
  });
}

/** The filters in words. */
function askedOf({ since, until, model }: ExportOptions): string {
  return Object.entries({ since: since?.text, until: until?.text, model })
    .flatMap(([name, value]) => (value === undefined ? [] : [`--${name} ${value}`]))
    .join(" ");
}

/** Whoever reads may have had enough, as `head` does: that is no failure. */
function sinkOf(stdout: LogOutput): LineSink {
  let failure: Error | null = null;
  let wake: (() => void) | null = null;
  stdout.on?.("drain", () => wake?.());
  stdout.on?.("error", (error) => {
    failure = error;
    wake?.();
  });
  return {
    async write(text) {
      if (failure === null && stdout.write(text) === false && stdout.on !== undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (failure !== null && !("code" in failure && failure.code === "EPIPE")) throw failure;
      return failure === null;
    },
  };
}
