import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import type { ScoredItem } from "../../src/ensemble/choice-ways.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import type { ChoiceItem } from "../../src/ensemble/option-tokens.ts";
import { createChoiceScorer, type ItemScores } from "../../src/ensemble/score-choices.ts";
import { parseChoices } from "./choices-file.ts";
import { openKeyedLines } from "./keyed-lines.ts";
import type { ProgressBar } from "./progress-bar.ts";
import { modelsKey, scoresPath } from "./score-keys.ts";

export interface ScoreRequest {
  readonly path: string;
  /** Items that numbers are told of. */
  readonly split: ChoiceItem["split"];
  /** At most this many items of a split, evenly over the file; null for all. */
  readonly limit: number | null;
  /** Where scores are kept; null for the file in CONCORD_HOME that belongs to map and weights. */
  readonly scoresPath: string | null;
  readonly progress: ProgressBar;
}

/** Raise it when the same items come to other scores under the same models. */
const SCORES_VERSION = 1;

const scoresSchema: z.ZodType<ItemScores> = z.object({
  bytes: z.array(z.int()),
  rows: z.array(z.object({ name: z.string(), tokens: z.array(z.int()), logprobs: z.array(z.number()) })),
});

export interface ScoredFile {
  readonly told: readonly ScoredItem[];
  /** Items for picking between ways to decide. */
  readonly choosing: readonly ScoredItem[];
}

/** Scores a file's items, those to tell of and those to choose on. Items scored before, also by a run that was killed, are not scored again. */
export async function scoreChoicesFile(ensemble: Ensemble, request: ScoreRequest): Promise<ScoredFile> {
  const { path, split, limit, progress } = request;
  const items = parseChoices(path, await readFile(path, "utf8"));
  const told = evenly(
    items.filter((item) => item.split === split),
    limit,
  );
  if (told.length === 0) throw new Error(`${path}: expected items of the split "${split}", got none`);
  const choosing = evenly(
    items.filter((item) => item.split === "choose"),
    limit,
  );
  const key = modelsKey(ensemble, `${SCORES_VERSION}`);
  const kept = request.scoresPath ?? scoresPath("choices", key);
  const cache = await openKeyedLines(kept, scoresSchema);
  const known = (item: ChoiceItem): ItemScores | undefined => cache.get(itemKey(key, item));
  const scorer = createChoiceScorer(ensemble);
  try {
    const wanted = [...new Set([...told, ...choosing])];
    const missing = wanted.filter((item) => known(item) === undefined);
    if (missing.length < wanted.length) {
      progress.note(
        `${wanted.length - missing.length} of ${wanted.length} items were scored before: ${kept}`,
      );
    }
    if (missing.length > 0) progress.stage(`scoring ${basename(path)}`, missing.length, "steps");
    for (const [i, item] of missing.entries()) {
      const scores = await scorer.score(item).catch((error: unknown) => rethrow(path, item, error));
      await cache.add(itemKey(key, item), scores);
      progress.update(i + 1);
    }
    progress.finish();
    const withScores = (item: ChoiceItem): ScoredItem => {
      const scores = known(item);
      if (scores === undefined) throw new Error(`${path}: item ${item.id} was not scored`);
      return { item, scores };
    };
    return { told: told.map(withScores), choosing: choosing.map(withScores) };
  } finally {
    scorer.close();
    await cache.close();
  }
}

/** At most `limit` of them, evenly from the first to the last. */
function evenly<T>(items: readonly T[], limit: number | null): readonly T[] {
  if (limit === null || items.length <= limit) return items;
  return items.filter(
    (_, i) => Math.floor(((i + 1) * limit) / items.length) > Math.floor((i * limit) / items.length),
  );
}

/** What decides an item's scores, sha256 in hex: the models and its texts. */
function itemKey(models: string, { context, choices }: ChoiceItem): string {
  return createHash("sha256")
    .update(JSON.stringify([models, context, choices]))
    .digest("hex");
}

function rethrow(path: string, item: ChoiceItem, error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error);
  throw new Error(`${path}: item ${item.id}: ${reason}`, { cause: error });
}
