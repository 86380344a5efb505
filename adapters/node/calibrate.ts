import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fitChoiceDecider, type ChoiceKind } from "../../src/ensemble/choice-calibration.ts";
import type { ScoredItem } from "../../src/ensemble/choice-ways.ts";
import type { ConfidenceBook } from "../../src/ensemble/confidence.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import type { ChoiceItem } from "../../src/ensemble/option-tokens.ts";
import { fitAnswerJudge, type AnswerKind } from "../../src/ensemble/short-answers.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { parseChoices } from "./choices-file.ts";
import { judgeAnswers } from "./judge-answers.ts";
import type { ProgressBar } from "./progress-bar.ts";
import { evenly, scoreItems } from "./score-choices-file.ts";
import { spaceHash } from "./score-keys.ts";

/** Questions with fixed answers of one file, in one of the forms in which they can be asked. */
export interface ChoiceSet {
  readonly name: string;
  readonly form: ChoiceKind["form"];
  readonly items: readonly ChoiceItem[];
}

export interface CalibrationRequest {
  /** Files of closed choices. */
  readonly choices: readonly string[];
  /** Those of them whose contexts are also answered freely, where the right choice has to be named. */
  readonly answers: readonly string[];
  /** At most this many items of a split, evenly over the file; null for all. */
  readonly limit: number | null;
  readonly seed: number;
  readonly progress: ProgressBar;
}

export interface Calibrated {
  readonly book: ConfidenceBook;
  /** sha256 of each file, by name. */
  readonly sources: Readonly<Record<string, string>>;
}

/**
 * Learns to decide and calibrates, on the items of the splits "fit" and "choose"; those of "report" are not read. For all members together and for each alone.
 */
export async function calibrateEnsemble(
  ensemble: Ensemble,
  { choices, answers, limit, seed, progress }: CalibrationRequest,
): Promise<Calibrated> {
  const kinds: ChoiceKind[] = [];
  const answerKinds: AnswerKind[] = [];
  const sources: Record<string, string> = {};
  for (const path of new Set([...choices, ...answers])) {
    sources[basename(path)] = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
  }
  for (const set of await choiceSets(choices)) {
    const { fit, choose } = await scoredSplits(ensemble, set, ["fit", "choose"], { limit, progress });
    const items = [...fit, ...choose];
    const counts = new Set(items.map(({ item }) => item.choices.length));
    const subsets = subsetsOf(ensemble);
    progress.stage(`calibrating ${set.name}`, subsets.length, "steps");
    const deciders = subsets.map(({ members }, i) => {
      const ids = members.map(({ info }) => info.id);
      const decider = fitChoiceDecider(ids, items, createRandom(seed));
      progress.update(i + 1);
      return decider;
    });
    progress.finish();
    kinds.push({
      name: set.name,
      form: set.form,
      counts: [...counts].sort((a, b) => a - b),
      items: items.length,
      deciders,
    });
  }
  for (const path of answers) {
    const items = parseChoices(path, await readFile(path, "utf8"));
    const of = (split: ChoiceItem["split"]): readonly ChoiceItem[] => evenlyOfSplit(items, split, limit);
    const judges = [];
    for (const subset of subsetsOf(ensemble)) {
      const fit = await judgeAnswers(subset, of("fit"), progress);
      const choose = await judgeAnswers(subset, of("choose"), progress);
      const ids = subset.members.map(({ info }) => info.id);
      judges.push(fitAnswerJudge(ids, fit, choose, createRandom(seed)));
    }
    answerKinds.push({
      name: answersName(path),
      space: spaceHash(ensemble.space),
      fitted: of("fit").length,
      calibrated: of("choose").length,
      judges,
    });
  }
  return { book: { choices: kinds, answers: answerKinds }, sources };
}

/** What free answers to a file's contexts are called. */
export function answersName(path: string): string {
  return `${basename(path, ".jsonl")}, answered freely`;
}

/** At most so many items of a split, evenly over all; null for every one. */
export function evenlyOfSplit(
  items: readonly ChoiceItem[],
  split: ChoiceItem["split"],
  limit: number | null,
): readonly ChoiceItem[] {
  return evenly(
    items.filter((item) => item.split === split),
    limit,
  );
}

/** Every file's items as texts, and as chats where all have a context to ask. */
export async function choiceSets(paths: readonly string[]): Promise<ChoiceSet[]> {
  const sets: ChoiceSet[] = [];
  for (const path of paths) {
    const name = basename(path, ".jsonl");
    const items = parseChoices(path, await readFile(path, "utf8"));
    sets.push({ name, form: "text", items });
    if (items.some(({ context }) => context === "")) continue;
    sets.push({ name: `${name}, asked in a chat`, form: "chat", items: items.map(asChat) });
  }
  return sets;
}

/** The items of the splits asked for, scored by each member alone. @throws Error when a split is empty */
export async function scoredSplits<Split extends ChoiceItem["split"]>(
  ensemble: Ensemble,
  { name, items }: ChoiceSet,
  splits: readonly Split[],
  { limit, progress }: Pick<CalibrationRequest, "limit" | "progress">,
): Promise<Record<Split, ScoredItem[]>> {
  const bySplit = splits.map((split) => {
    const own = evenlyOfSplit(items, split, limit);
    if (own.length === 0) throw new Error(`${name}: expected items of the split "${split}", got none`);
    return { split, own };
  });
  const scored = await scoreItems(
    ensemble,
    bySplit.flatMap(({ own }) => own),
    { name, wanted: () => ({ alone: true, together: false }), scoresPath: null, progress },
  );
  const ofSplit = (split: Split): ScoredItem[] => scored.filter(({ item }) => item.split === split);
  return Object.fromEntries(splits.map((split) => [split, ofSplit(split)])) as Record<Split, ScoredItem[]>;
}

/** All members, and each alone. */
export function subsetsOf(ensemble: Ensemble): Ensemble[] {
  const alone = ensemble.members.map((member): Ensemble => ({ ...ensemble, members: [member] }));
  return ensemble.members.length > 1 ? [ensemble, ...alone] : alone;
}

/** The same question, its context the user's turn. */
function asChat(item: ChoiceItem): ChoiceItem {
  const content = String(item.context).trim();
  return {
    ...item,
    context: [{ role: "user", content }],
    choices: item.choices.map((choice) => choice.trim()),
  };
}
