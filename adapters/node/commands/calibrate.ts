import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import pc from "picocolors";
import type { ConfidenceBook } from "../../../src/ensemble/confidence.ts";
import { LEAST_JUDGED, type Recalibrated } from "../../../src/ensemble/recalibrate.ts";
import { calibrateEnsemble } from "../calibrate.ts";
import { writeCalibration } from "../calibration-file.ts";
import { fittedCalibrationPath } from "../open-confidence.ts";
import { openEnsemble } from "../open-ensemble.ts";
import { createProgressBar } from "../progress-bar.ts";
import { recalibrateFromLog } from "../recalibrate-from-log.ts";
import { SHIPPED_CHOICES } from "./evaluate-choices.ts";
import { tableLines, type Column } from "./table.ts";
import { wholeNumber } from "./whole-number.ts";

/** The sets that come with Concord whose questions can also be answered freely, and checked. */
export const SHIPPED_ANSWERS = [
  fileURLToPath(new URL("../../../data/choices/known-facts.jsonl", import.meta.url)),
];

interface CalibrateOptions {
  readonly answers?: readonly string[];
  readonly fromLog?: true;
  readonly out?: string;
  readonly limit?: number;
  readonly seed: number;
}

export function registerCalibrateCommand(program: Command): void {
  program
    .command("calibrate")
    .argument("[files...]", "JSONL files of questions with fixed answers (default: PIQA, BLiMP, known facts)")
    .description("learns to decide choices, and how often an answer as sure as this one is right")
    .option(
      "--answers <files...>",
      "those whose contexts are also gone on with freely (default: known facts, unless files are given)",
    )
    .option("--from-log", "only fit the calibration again, on logged answers that feedback has judged")
    .option("--out <file>", "where it is written (default: in CONCORD_HOME, where the gateway finds it)")
    .option("--limit <number>", "at most so many items of a split, evenly over the file", wholeNumber)
    .option("--seed <number>", "of the cross-validation", wholeNumber, 1)
    .addHelpText("after", HELP)
    .action(async (files: readonly string[], { answers, fromLog, out, limit, seed }: CalibrateOptions) => {
      if (fromLog) {
        if (files.length > 0 || answers !== undefined || limit !== undefined) {
          throw new Error("--from-log reads the log alone: leave out files, --answers and --limit");
        }
        await calibrateFromLog(out ?? fittedCalibrationPath(), seed);
        return;
      }
      const own = files.length > 0;
      const progress = createProgressBar();
      const { ensemble, close } = await openEnsemble({ progress });
      try {
        const { book, sources } = await calibrateEnsemble(ensemble, {
          choices: own ? files : SHIPPED_CHOICES,
          answers: answers ?? (own ? [] : SHIPPED_ANSWERS),
          limit: limit ?? null,
          seed,
          progress,
        });
        const path = out ?? fittedCalibrationPath();
        const members = ensemble.members.map(({ info }) => info);
        await writeCalibration(path, book, { seed, members, sources });
        const { size } = await stat(path);
        process.stdout.write(`${bookLines(book).join("\n")}\n\n`);
        process.stdout.write(`${pc.green("written")} ${path} (${Math.ceil(size / 1000)} kB)\n`);
      } finally {
        await close();
      }
    });
}

async function calibrateFromLog(out: string, seed: number): Promise<void> {
  const { from, rows, answers } = await recalibrateFromLog(out, seed);
  process.stdout.write(
    `${tableLines(recalibrationColumns, rows, process.stdout.columns ?? Infinity).join("\n")}\n\n`,
  );
  process.stdout.write(`${answers} logged answers have a forecast.\n`);
  if (rows.some(({ changed }) => changed)) {
    process.stdout.write(`${pc.green("written")} ${out}, from ${from}\n`);
    return;
  }
  process.stdout.write(
    `Nothing is written: a calibration is fitted again from ${LEAST_JUDGED} judged answers on, where it loses less than ${from}.\n`,
  );
}

const nats = (value: number | null): string => value?.toFixed(3) ?? "";

const recalibrationColumns: readonly Column<Recalibrated>[] = [
  { title: "questions", cell: ({ set }) => set, align: "left", expendable: 0 },
  {
    title: "decided by",
    cell: ({ memberIds }) => (memberIds.length > 1 ? "concord" : memberIds.join()),
    align: "left",
    expendable: 0,
  },
  { title: "judged", cell: ({ judged }) => `${judged}`, align: "right", expendable: 0 },
  { title: "loss before", cell: ({ before }) => nats(before), align: "right", expendable: 0 },
  { title: "held out", cell: ({ after }) => nats(after), align: "right", expendable: 0 },
  { title: "", cell: ({ changed }) => (changed ? "new" : "as it was"), align: "left", expendable: 0 },
];

interface BookRow {
  readonly set: string;
  readonly members: string;
  readonly items: number;
  readonly calibration: string;
}

const columns: readonly Column<BookRow>[] = [
  { title: "questions", cell: ({ set }) => set, align: "left", expendable: 0 },
  { title: "decided by", cell: ({ members }) => members, align: "left", expendable: 0 },
  { title: "items", cell: ({ items }) => `${items}`, align: "right", expendable: 0 },
  { title: "by", cell: ({ calibration }) => calibration, align: "left", expendable: 0 },
];

function bookLines({ choices, answers }: ConfidenceBook): string[] {
  const rows = [
    ...choices.flatMap((kind) =>
      kind.deciders.map(({ head, calibration }) =>
        rowOf(kind.name, kind.items, head.memberIds, calibration.kind),
      ),
    ),
    ...answers.flatMap((kind) =>
      kind.judges.map(({ memberIds, calibration }) =>
        rowOf(kind.name, kind.fitted + kind.calibrated, memberIds, calibration.kind),
      ),
    ),
  ];
  return tableLines(columns, rows, process.stdout.columns ?? Infinity);
}

function rowOf(set: string, items: number, members: readonly string[], calibration: string): BookRow {
  return { set, members: members.length > 1 ? "concord" : members.join(), items, calibration };
}

const HELP = `
Decisions are learned from items of the splits "fit" and "choose", and calibrated on those that a decision has not seen;
"report" is left for concord report.
Items with a context are read as texts and as chats. The format of the files: data/choices/README.md.

--from-log needs no models: of what was decided and then judged (POST /feedback: correct, or a demonstration of the right
choice), it fits again how far the same decisions can be trusted. It is only as good as feedback is even-handed: where wrong
answers are reported more often than right ones, confidences come out too low, and the other way round.

Scores are kept as they are made: a run that was stopped goes on where it was.

Examples:
  concord calibrate
  concord calibrate quiz.jsonl --out quiz.safetensors
  concord calibrate --from-log`;
