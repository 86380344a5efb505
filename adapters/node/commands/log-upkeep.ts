import { setTimeout as pause } from "node:timers/promises";
import type { Database } from "better-sqlite3";
import type { Command } from "commander";
import { bytes, count, moment as time, orDash } from "../../../src/dashboard/format.ts";
import type { TimeRange } from "../../../src/ports/observations.ts";
import { backUp } from "../../sqlite/back-up.ts";
import { readLogStats, type LogStats } from "../../sqlite/log-stats.ts";
import { countAnswers } from "../../sqlite/records-in-order.ts";
import { pruneSome, usedBytes, vacuumSome } from "../../sqlite/upkeep.ts";
import { endSignal, progressOf, withDatabase, type LogContext } from "./log-context.ts";
import { moment, timeSpan } from "./moment.ts";

interface JsonOption {
  readonly json?: true;
}

interface PruneOptions extends JsonOption {
  readonly before?: number;
  readonly olderThan?: number;
  readonly dryRun?: true;
}

/** `log backup`, `log prune` and `log stats`. */
export function registerLogUpkeepCommands(log: Command, context: LogContext): void {
  log
    .command("backup")
    .description("copy the whole log to a file, also while a gateway is writing it")
    .argument("<file>", "where to; it has the name only once it is whole and checked")
    .option("--json", "tell what was written as JSON")
    .addHelpText(
      "after",
      `
The copy has all that lies in the log's database: answers, experiments, feedback, probes. To go back to it, stop the gateway and put it
in the place of the log, whose path "concord log stats" shows, without the files -wal and -shm beside that.

Example:
  concord log backup /var/backups/concord-$(date +%F).sqlite`,
    )
    .action((file: string, { json }: JsonOption) => backupLog(file, json === true, context));

  log
    .command("prune")
    .description("delete old answers with their texts and traces; rollups by hour and day stay")
    .option(
      "--before <when>",
      "those from before: 30d, 2026-01-31 or 2026-01-31T08:00Z (UTC)",
      (text: string) => moment(text, context.clock),
    )
    .option("--older-than <span>", "those older than: 24h, 30d, 8w", timeSpan)
    .option("--dry-run", "only tell how many it would be")
    .option("--json", "tell it as JSON")
    .addHelpText(
      "after",
      `
Interrupted, it has deleted a part of them. A gateway does the same by itself with serve --keep-for.

Examples:
  concord log prune --older-than 90d --dry-run
  concord log prune --before 2026-01-01`,
    )
    .action((options: PruneOptions, command: Command) => pruneLog(options, command, context));

  log
    .command("stats")
    .description("how large the log is")
    .option("--json", "print it as JSON")
    .addHelpText("after", "\nExample:\n  concord log stats --json")
    .action(({ json }: JsonOption) => tellStats(json === true, context));
}

async function backupLog(file: string, json: boolean, context: LogContext): Promise<void> {
  await withDatabase(context, async (database) => {
    const progress = progressOf(context);
    const pageSize = Number(database.pragma("page_size", { simple: true }));
    progress.stage("backup", pageSize * Number(database.pragma("page_count", { simple: true })), "bytes");
    try {
      const copy = await backUp(database, file, {
        signal: endSignal(context),
        onProgress: (pages) => progress.update(pages * pageSize),
      });
      const told = json
        ? JSON.stringify({ file, ...copy })
        : `${file}: ${count(copy.answers)} answers, ${bytes(copy.bytes)}, checked`;
      context.stdout.write(`${told}\n`);
    } finally {
      progress.finish();
    }
  });
}

/** Small enough that a gateway which adds an answer meanwhile waits for some milliseconds at most. */
const SLICE = 200;
const BETWEEN_SLICES_MS = 2;
const VACUUMED_PAGES = 128;

async function pruneLog(options: PruneOptions, command: Command, context: LogContext): Promise<void> {
  const { clock, stdout } = context;
  const { before: day, olderThan, dryRun = false, json = false } = options;
  if ((day === undefined) === (olderThan === undefined)) {
    command.error("error: expected either --before or --older-than");
  }
  const before = day ?? clock.now() - (olderThan ?? 0);
  if (before > clock.now()) command.error("error: --before must be in the past");
  await withDatabase(context, async (database) => {
    const range = { from: Number.MIN_SAFE_INTEGER, to: before };
    const answers = dryRun ? countAnswers(database, range) : await deleteAnswers(database, range, context);
    const size = usedBytes(database);
    const told = json
      ? JSON.stringify({ before: new Date(before).toISOString(), dryRun, answers, bytes: size })
      : `${count(answers)} answers from before ${new Date(before).toISOString()} ${dryRun ? "would be deleted" : "deleted"}; the log has ${bytes(size)}${dryRun ? "" : " now"}`;
    stdout.write(`${told}\n`);
  });
}

/** Deletes in slices, so that a gateway goes on, and gives space back. */
async function deleteAnswers(
  database: Database,
  { to: before }: TimeRange,
  context: LogContext,
): Promise<number> {
  const { clock } = context;
  const signal = endSignal(context);
  const progress = progressOf(context);
  const older = { from: Number.MIN_SAFE_INTEGER, to: before };
  progress.stage("prune", countAnswers(database, older), "answers");
  let answers = 0;
  try {
    for (let some = -1; some !== 0; answers += some) {
      signal.throwIfAborted();
      const now = clock.now();
      some = pruneSome(database, { maxAgeMs: now - before, maxBytes: null }, now, SLICE);
      progress.update(answers + some);
      await pause(BETWEEN_SLICES_MS);
    }
    while (vacuumSome(database, VACUUMED_PAGES)) {
      signal.throwIfAborted();
      await pause(BETWEEN_SLICES_MS);
    }
  } finally {
    progress.finish();
  }
  return answers;
}

async function tellStats(json: boolean, context: LogContext): Promise<void> {
  await withDatabase(context, async (database) => {
    const stats = await readLogStats(database);
    context.stdout.write(json ? `${JSON.stringify(stats, null, 2)}\n` : `${statsLines(stats).join("\n")}\n`);
  });
}

function statsLines(stats: LogStats): string[] {
  const { rollups } = stats;
  return [
    ["file", stats.path],
    ["answers", count(stats.answers)],
    ["with their text", count(stats.texts)],
    ["oldest (UTC)", orDash(stats.oldest, time)],
    ["newest (UTC)", orDash(stats.newest, time)],
    ["size", `${bytes(stats.bytes)}, of it free ${bytes(stats.freeBytes)}`],
    ["an answer", orDash(stats.bytesPerAnswer, (size) => `${count(size)} bytes with all that belongs to it`)],
    [
      "rollups",
      `${count(rollups.minutes)} of minutes, ${count(rollups.hours)} of hours, ${count(rollups.days)} of days`,
    ],
    ["feedback", count(stats.feedback)],
    ["alerts", count(stats.alerts)],
    ...(stats.uncounted === 0
      ? []
      : [
          ["not counted yet", `${count(stats.uncounted)} from before an update: a gateway does it by and by`],
        ]),
  ].map(([name = "", value = ""]) => `${name.padEnd(16)} ${value}`);
}
