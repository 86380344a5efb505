import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import pc from "picocolors";
import { betterOf } from "../../../src/ensemble/better-of.ts";
import { compareWays, waysFor, type PairedComparison } from "../../../src/ensemble/choice-report.ts";
import { MAJORITY_VOTE } from "../../../src/ensemble/choice-ways.ts";
import {
  compareTexts,
  type PairedParagraph,
  type TextComparison,
} from "../../../src/ensemble/compare-texts.ts";
import { ENSEMBLE_ID } from "../../../src/ensemble/engine.ts";
import type { Ensemble } from "../../../src/ensemble/ensemble.ts";
import { scoreDocument } from "../../../src/ensemble/evaluate-text.ts";
import { MEAN_OF_PROBABILITIES } from "../../../src/ensemble/row-names.ts";
import { systemClock } from "../../../src/ports/clock.ts";
import { openEnsemble } from "../open-ensemble.ts";
import { MEMBER_IDS } from "../open-members.ts";
import { createProgressBar, type ProgressBar } from "../progress-bar.ts";
import { scoreChoicesFile } from "../score-choices-file.ts";
import { addChoiceOptions, type ChoiceOptions } from "./choice-options.ts";
import { interval, learnedNote, percent, points, pValue } from "./choices-table.ts";

interface CompareOptions extends ChoiceOptions {
  readonly on: readonly string[];
  readonly json?: true;
}

interface ChoicesCompared extends PairedComparison {
  readonly kind: "choices";
  readonly items: number;
  /** Items that concord's decision was learned from; 0: it goes by log-probability alone. */
  readonly learnedItems: number;
  /** Accuracies. */
  readonly first: number;
  readonly second: number;
}

type Compared = ChoicesCompared | (TextComparison & { readonly kind: "text" });

interface ComparedFile {
  readonly file: string;
  readonly verdict: string;
  readonly result: Compared;
}

export function registerCompareCommand(program: Command): void {
  const command = program
    .command("compare")
    .argument("<a>", "concord, a member's id, mean or vote")
    .argument("<b>", "another of them")
    .description("which of two predicts better, on the same items or paragraphs")
    .requiredOption(
      "--on <files...>",
      "closed choices (.jsonl), or texts (any other name), their paragraphs separated by blank lines",
    );
  addChoiceOptions(command)
    .option("--json", "print JSON instead of sentences")
    .addHelpText("after", HELP)
    .action(async (a: string, b: string, options: CompareOptions) => {
      const names: Names = { a, b, first: rowNamed(a), second: rowNamed(b) };
      if (names.first === names.second)
        throw new Error(`expected two different ones to compare, got ${a} twice`);
      const progress = createProgressBar();
      const { ensemble, close } = await openEnsemble({ progress });
      try {
        const compared: ComparedFile[] = [];
        for (const file of options.on) {
          const compare = file.endsWith(".jsonl") ? onChoices : onText;
          const result = await compare(ensemble, file, names, options, progress);
          compared.push({ file, verdict: verdict(result, names), result });
        }
        const lines = options.json
          ? [JSON.stringify(compared, null, 2)]
          : compared.map((found) => `${sentences(found, names).join("\n")}\n`);
        process.stdout.write(`${lines.join("\n")}\n`);
      } finally {
        await close();
      }
    });
}

/** What the two are called on the command line, and in the scores. */
interface Names {
  readonly a: string;
  readonly b: string;
  readonly first: string;
  readonly second: string;
}

function rowNamed(name: string): string {
  const row = new Map<string, string>([
    ["concord", ENSEMBLE_ID],
    ["mean", MEAN_OF_PROBABILITIES],
    ["vote", MAJORITY_VOTE],
    ...MEMBER_IDS.map((id): [string, string] => [id, id]),
  ]);
  const found = row.get(name);
  if (found === undefined) throw new Error(`expected one of ${[...row.keys()].join(", ")}, got ${name}`);
  return found;
}

async function onChoices(
  ensemble: Ensemble,
  path: string,
  { first, second }: Names,
  { split, limit, resume, normalise, seed }: CompareOptions,
  progress: ProgressBar,
): Promise<Compared> {
  const items = await scoreChoicesFile(ensemble, {
    path,
    split,
    learn: first === ENSEMBLE_ID || second === ENSEMBLE_ID,
    together: true,
    limit: limit ?? null,
    scoresPath: resume ?? null,
    progress,
  });
  const { told } = items;
  const memberIds = ensemble.members.map(({ info }) => info.id);
  const { ways, learnedItems } = waysFor(items, { memberIds, normalise });
  const [one, other] = [first, second].map((name) => ways.find((way) => way.name === name));
  if (one === undefined || other === undefined)
    throw new Error(`no way to decide is called ${first} or ${second}`);
  const share = (way: typeof one): number => told.filter(way.isRight).length / told.length;
  const paired = compareWays(one, other, told, seed);
  return {
    kind: "choices",
    items: told.length,
    learnedItems,
    first: share(one),
    second: share(other),
    ...paired,
  };
}

async function onText(
  ensemble: Ensemble,
  path: string,
  { first, second }: Names,
  { seed, limit }: CompareOptions,
  progress: ProgressBar,
): Promise<Compared> {
  if (first === MAJORITY_VOTE || second === MAJORITY_VOTE) {
    throw new Error(
      `${path}: a vote has no probabilities: it can be compared on closed choices (.jsonl) only`,
    );
  }
  const text = await readFile(path, "utf8");
  const paragraphs = text
    .split(/\r?\n[ \t]*\r?\n/)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => paragraph !== "")
    .slice(0, limit);
  if (paragraphs.length < 2) {
    throw new Error(
      `${path}: expected 2 paragraphs or more, separated by blank lines, got ${paragraphs.length}`,
    );
  }
  const scored: PairedParagraph[] = [];
  progress.stage(`reading ${basename(path)}`, paragraphs.length, "steps");
  for (const [i, paragraph] of paragraphs.entries()) {
    const document = { domain: "text", source: path, passages: [{ kind: "text", text: paragraph } as const] };
    const { bytes, sums } = await scoreDocument(document, { ensemble, clock: systemClock, exact: null });
    const natsOf = (name: string): number => sums.find((sum) => sum.name === name)?.nats ?? Number.NaN;
    scored.push({ bytes, first: natsOf(first), second: natsOf(second) });
    progress.update(i + 1);
  }
  progress.finish();
  return { kind: "text", ...compareTexts(scored, seed) };
}

function verdict(result: Compared, { a, b }: Names): string {
  const better =
    result.kind === "text"
      ? betterOf(result.interval, { higherIsBetter: false })
      : betterOf(result.interval, { higherIsBetter: true, p: result.p });
  if (better === null) return "no difference shown";
  return `${better === "first" ? a : b} is better`;
}

function sentences({ file, verdict: told, result }: ComparedFile, names: Names): string[] {
  const { a, b } = names;
  if (result.kind === "text") {
    const { first, second, difference, paragraphs, bytes } = result;
    return [
      `${file}: ${pc.bold(told)}`,
      `  bits per byte: ${a} ${first.toFixed(4)}, ${b} ${second.toFixed(4)}; difference ${signed(difference)}, 95 % ${interval(result.interval, signed)}`,
      pc.dim(`  ${paragraphs} paragraphs, ${bytes} bytes`),
    ];
  }
  const { first, second, difference, onlyFirst, onlySecond, p, items } = result;
  const concord = names.first === ENSEMBLE_ID || names.second === ENSEMBLE_ID;
  return [
    `${file}: ${pc.bold(told)}`,
    `  right: ${a} ${percent(first)}, ${b} ${percent(second)}; difference ${points(difference)} points, 95 % ${interval(result.interval, points)}`,
    `  only ${a} right ${onlyFirst} times, only ${b} ${onlySecond} times: McNemar p ${pValue(p)}`,
    pc.dim(`  ${items} items${concord ? `; concord ${learnedNote(result.learnedItems)}` : ""}`),
  ];
}

function signed(value: number): string {
  return value > 0 ? `+${value.toFixed(4)}` : value.toFixed(4).replace("-", "−");
}

const HELP = `
Names:
  concord  the ensemble: on choices the decision learned from the items of split "fit" and "choose", or without those
           the fused log-probability; on texts its answer, fused or left to one member
  mean     mean of the members' probabilities, token by token, in the shared space
  vote     majority of the members alone, by the clearer decision where they tie; closed choices only
  ${MEMBER_IDS.join(", ")}: a member alone

"better" is said where the paired bootstrap's 95 % interval leaves out 0 and, on closed choices, McNemar's exact
test has p < 0.05.

Examples:
  concord compare concord gemma-3-270m --on data/choices/piqa.jsonl
  concord compare concord mean --on article.txt`;
