import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import pc from "picocolors";
import { reportChoices, type ChoiceReport } from "../../../src/ensemble/choice-report.ts";
import type { Ensemble } from "../../../src/ensemble/ensemble.ts";
import { openEnsemble, type FittedEnsemble } from "../open-ensemble.ts";
import { createProgressBar, type ProgressBar } from "../progress-bar.ts";
import { spaceHash } from "../score-keys.ts";
import { scoreChoicesFile } from "../score-choices-file.ts";
import { addChoiceOptions, type ChoiceOptions } from "./choice-options.ts";
import { choiceLines, choiceMarkdown } from "./choices-table.ts";

/** The sets that come with Concord. */
export const SHIPPED_CHOICES = ["piqa", "blimp", "known-facts"].map((name) =>
  fileURLToPath(new URL(`../../../data/choices/${name}.jsonl`, import.meta.url)),
);

interface EvaluateChoicesOptions extends ChoiceOptions {
  readonly report?: string;
  readonly json?: true;
}

export interface EvaluatedFile {
  readonly name: string;
  readonly report: ChoiceReport;
}

export function registerEvaluateChoicesCommand(evaluate: Command): void {
  const command = evaluate
    .command("choices")
    .argument("[files...]", "JSONL files of questions with fixed answers (default: PIQA, BLiMP, known facts)")
    .description("how often each member, simple ways to combine them, and the ensemble choose right");
  addChoiceOptions(command)
    .option("--report <file>", "also write the tables as Markdown")
    .option("--json", "print JSON instead of tables")
    .addHelpText("after", HELP)
    .action(async (files: readonly string[], options: EvaluateChoicesOptions) => {
      const paths = files.length > 0 ? files : SHIPPED_CHOICES;
      const progress = createProgressBar();
      const opened = await openEnsemble({ progress });
      const { ensemble } = opened;
      const evaluated = await evaluateChoiceFiles(opened, paths, options, progress).finally(opened.close);
      if (options.report !== undefined) {
        await writeFile(options.report, markdown(evaluated, ensemble, options).join("\n"));
      }
      const lines = options.json ? [JSON.stringify(evaluated, null, 2)] : evaluated.map(fileLines);
      process.stdout.write(`${lines.join("\n")}\n`);
    });
}

export function fileLines({ name, report }: EvaluatedFile): string {
  return `${pc.bold(name)}\n${choiceLines(report, process.stdout.columns ?? Infinity).join("\n")}\n`;
}

/** Every file's choices by every way. */
export async function evaluateChoiceFiles(
  { ensemble }: Pick<FittedEnsemble, "ensemble">,
  paths: readonly string[],
  options: ChoiceOptions,
  progress: ProgressBar,
): Promise<EvaluatedFile[]> {
  const memberIds = ensemble.members.map(({ info }) => info.id);
  const evaluated: EvaluatedFile[] = [];
  for (const path of paths) {
    const items = await scoreChoicesFile(ensemble, {
      path,
      split: options.split,
      learn: true,
      together: true,
      limit: options.limit ?? null,
      scoresPath: options.resume ?? null,
      progress,
    });
    const { normalise, seed } = options;
    const { fit, choosing } = items;
    if (fit.length > 0) {
      progress.note(`learning to decide from ${fit.length + choosing.length} items of ${basename(path)}`);
    }
    evaluated.push({
      name: basename(path, ".jsonl"),
      report: reportChoices(items, { memberIds, normalise, seed }),
    });
  }
  return evaluated;
}

function markdown(
  evaluated: readonly EvaluatedFile[],
  { members, space }: Ensemble,
  { split, normalise, seed, limit }: EvaluateChoicesOptions,
): string[] {
  const names = evaluated.map(({ name }) => name).join(", ");
  const used = members.map(({ info }) => `${info.id} (weights sha256 ${info.weightsHash.slice(0, 12)}…)`);
  return [
    "# Closed choices",
    "",
    `Written by \`concord evaluate choices --report\` on ${names}, split ${split}${limit === undefined ? "" : `, at most ${limit} items`}, normalisation ${normalise}, seed ${seed}.`,
    `Members: ${used.join(", ")}; map sha256 ${spaceHash(space).slice(0, 12)}….`,
    "",
    ...NOTES,
    ...evaluated.map(({ name, report }) => `\n## ${name}\n\n${choiceMarkdown(report).join("\n")}`),
    "",
  ];
}

const NOTES = [
  "A way chooses the answer to which it gives the highest log-probability after the context, as it is or per byte,",
  "whichever was better on the items to choose on. Intervals of accuracies are Wilson's; differences to the best",
  "member are in percentage points, with a paired bootstrap over items; p is McNemar's exact test. The majority vote",
  "is over the members alone; with two of them it is the clearer of two decisions. The oracle is right where some",
  "member is: no way to decide, a bound for voting. `concord` decides by the members' log-probabilities and states",
  "together, with weights learned from the items of the splits fit and choose; a member with a head has learned the same",
  "way from its own alone, which is the fair comparison.",
];

const HELP = `
A line of a file: {"id": "1", "context": "2 + 2 is", "choices": [" 4", " 5"], "label": 0}
"split" may be "fit", "choose" or "report" (default). Best member and normalisation are picked on "choose". Numbers of
"report" have concord's decision learned from "fit" and "choose"; without those it goes by log-probability.

Scores are kept as they are made: a run that was stopped goes on where it was.

Examples:
  concord evaluate choices
  concord evaluate choices quiz.jsonl --normalise bytes --json`;
