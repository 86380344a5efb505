import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import pc from "picocolors";
import { confidencePage } from "../../../src/ensemble/confidence-page.ts";
import {
  reportAnswerConfidence,
  reportChoiceConfidence,
  type ConfidenceRow,
  type SetReport,
} from "../../../src/ensemble/confidence-report.ts";
import type { Ensemble } from "../../../src/ensemble/ensemble.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import { answersName, choiceSets, evenlyOfSplit, scoredSplits, subsetsOf } from "../calibrate.ts";
import { parseChoices } from "../choices-file.ts";
import { judgeAnswers } from "../judge-answers.ts";
import { openConfidence, type OpenConfidence } from "../open-confidence.ts";
import { openEnsemble } from "../open-ensemble.ts";
import { saveReport } from "../saved-report.ts";
import { createProgressBar, type ProgressBar } from "../progress-bar.ts";
import { SHIPPED_ANSWERS } from "./calibrate.ts";
import { SHIPPED_CHOICES } from "./evaluate-choices.ts";
import { tableLines, type Column } from "./table.ts";
import { wholeNumber } from "./whole-number.ts";

interface ReportOptions {
  readonly answers?: readonly string[];
  readonly out: string;
  readonly limit?: number;
  readonly seed: number;
  readonly json?: true;
}

export function registerReportCommand(program: Command): void {
  program
    .command("report")
    .argument("[files...]", "JSONL files that were calibrated on (default: PIQA, BLiMP, known facts)")
    .description("how far confidences can be trusted, on questions that were kept apart: an HTML page")
    .option(
      "--answers <files...>",
      "those whose contexts are also gone on with freely (default: known facts)",
    )
    .option("-o, --out <file>", "where the page goes", "concord-report.html")
    .option("--limit <number>", "at most so many items of a split, evenly over the file", wholeNumber)
    .option("--seed <number>", "of the bootstrap", wholeNumber, 1)
    .option("--json", "print the numbers as JSON, and write no page")
    .addHelpText(
      "after",
      '\nReads the split "report", and what `concord calibrate` has fitted on the others. The dashboard shows the last one.\n\nExamples:\n  concord report\n  concord report quiz.jsonl --json',
    )
    .action(async (files: readonly string[], options: ReportOptions) => {
      const progress = createProgressBar();
      const { ensemble, close } = await openEnsemble({ progress });
      try {
        const confidence = await openConfidence(ensemble);
        const own = files.length > 0;
        const sets = await reportSets(ensemble, confidence, {
          choices: own ? files : SHIPPED_CHOICES,
          answers: options.answers ?? (own ? [] : SHIPPED_ANSWERS),
          limit: options.limit ?? null,
          seed: options.seed,
          progress,
        });
        await saveReport(confidence, { createdAt: systemClock.now(), sets });
        if (options.json) {
          process.stdout.write(`${JSON.stringify(sets, null, 2)}\n`);
          return;
        }
        const members = ensemble.members.map(({ info }) => info.id).join(", ");
        const path = resolve(options.out);
        await writeFile(path, confidencePage({ about: [`Members: ${members}.`], sets }));
        process.stdout.write(`${sets.map(setText).join("\n\n")}\n\n${pc.green("written")} ${path}\n`);
      } finally {
        await close();
      }
    });
}

interface ReportRequest {
  readonly choices: readonly string[];
  readonly answers: readonly string[];
  readonly limit: number | null;
  readonly seed: number;
  readonly progress: ProgressBar;
}

async function reportSets(
  ensemble: Ensemble,
  { book }: OpenConfidence,
  { choices, answers, limit, seed, progress }: ReportRequest,
): Promise<SetReport[]> {
  const memberIds = ensemble.members.map(({ info }) => info.id);
  const sets: SetReport[] = [];
  for (const set of await choiceSets(choices)) {
    const kind = book.choices.find(({ name }) => name === set.name);
    if (kind === undefined || kind.deciders.length === 0) throw notCalibrated(set.name);
    const splits = await scoredSplits(ensemble, set, ["fit", "choose", "report"], { limit, progress });
    const calibrating = [...splits.fit, ...splits.choose];
    progress.note(`counting ${set.name}`);
    sets.push(reportChoiceConfidence(kind, memberIds, { calibrating, told: splits.report }, seed));
  }
  for (const path of answers) {
    const items = evenlyOfSplit(parseChoices(path, await readFile(path, "utf8")), "report", limit);
    const kind = book.answers.find(({ name }) => name === answersName(path));
    if (kind === undefined || kind.judges.length === 0) throw notCalibrated(path);
    const judged = [];
    for (const subset of subsetsOf(ensemble)) {
      const ids = subset.members.map(({ info }) => info.id).join();
      const judge = kind.judges.find((candidate) => candidate.memberIds.join() === ids);
      if (judge) judged.push({ judge, told: await judgeAnswers(subset, items, progress) });
    }
    sets.push(reportAnswerConfidence(kind.name, judged, seed));
  }
  return sets;
}

function notCalibrated(name: string): Error {
  return new Error(
    `${name}: nothing was calibrated on it for these members and maps. Run: concord calibrate, with the same files`,
  );
}

const columns: readonly Column<ConfidenceRow>[] = [
  { title: "decided by", cell: ({ name }) => name, align: "left", expendable: 0 },
  { title: "items", cell: ({ items }) => `${items}`, align: "right", expendable: 2 },
  {
    title: "right",
    cell: ({ accuracy }) => `${(100 * accuracy).toFixed(1)} %`,
    align: "right",
    expendable: 0,
  },
  { title: "ECE", cell: ({ eceWidth }) => eceWidth.value.toFixed(3), align: "right", expendable: 0 },
  { title: "by chance", cell: ({ eceByChance }) => eceByChance.toFixed(3), align: "right", expendable: 1 },
  { title: "NLL", cell: ({ nll }) => nll.toFixed(3), align: "right", expendable: 1 },
  { title: "AUROC", cell: ({ auroc }) => auroc.value.toFixed(3), align: "right", expendable: 0 },
  {
    title: "95 %",
    cell: ({ auroc: { interval } }) => `${interval.low.toFixed(3)} to ${interval.high.toFixed(3)}`,
    align: "right",
    expendable: 1,
  },
];

function setText({ name, rows, sets, disagreement }: SetReport): string {
  const coverage = sets
    .filter((row) => row.name === "concord")
    .map(
      ({ level, coverage: covered, size }) =>
        `${(100 * level).toFixed(0)} %: ${(100 * covered).toFixed(1)} % (${size.toFixed(2)} choices)`,
    );
  return [
    pc.bold(name),
    ...tableLines(columns, rows, process.stdout.columns ?? Infinity),
    ...(coverage.length === 0 ? [] : [`prediction sets of concord cover at ${coverage.join(", ")}`]),
    ...(disagreement === null
      ? []
      : [
          `with the members' disagreement AUROC ${disagreement.both.toFixed(3)}, without ${disagreement.confidence.toFixed(3)}`,
        ]),
  ].join("\n");
}
