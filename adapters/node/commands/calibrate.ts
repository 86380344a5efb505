import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import pc from "picocolors";
import type { ConfidenceBook } from "../../../src/ensemble/confidence.ts";
import { calibrateEnsemble } from "../calibrate.ts";
import { writeCalibration } from "../calibration-file.ts";
import { fittedCalibrationPath } from "../open-confidence.ts";
import { openEnsemble } from "../open-ensemble.ts";
import { createProgressBar } from "../progress-bar.ts";
import { SHIPPED_CHOICES } from "./evaluate-choices.ts";
import { tableLines, type Column } from "./table.ts";
import { wholeNumber } from "./whole-number.ts";

/** The sets that come with Concord whose questions can also be answered freely, and checked. */
export const SHIPPED_ANSWERS = [
  fileURLToPath(new URL("../../../data/choices/known-facts.jsonl", import.meta.url)),
];

interface CalibrateOptions {
  readonly answers?: readonly string[];
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
    .option("--out <file>", "where it is written (default: in CONCORD_HOME, where the gateway finds it)")
    .option("--limit <number>", "at most so many items of a split, evenly over the file", wholeNumber)
    .option("--seed <number>", "of the cross-validation", wholeNumber, 1)
    .addHelpText("after", HELP)
    .action(async (files: readonly string[], { answers, out, limit, seed }: CalibrateOptions) => {
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

Scores are kept as they are made: a run that was stopped goes on where it was.

Examples:
  concord calibrate
  concord calibrate quiz.jsonl --out quiz.safetensors`;
