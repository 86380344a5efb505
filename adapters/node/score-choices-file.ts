import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ScoredItem } from "../../src/ensemble/choice-ways.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import type { ChoiceItem } from "../../src/ensemble/option-tokens.ts";
import { createChoiceScorer } from "../../src/ensemble/score-choices.ts";
import { parseChoices } from "./choices-file.ts";
import { concordPaths } from "./paths.ts";
import type { ProgressBar } from "./progress-bar.ts";
import { openScoreCache, scoresKey } from "./score-cache.ts";

export interface ScoreRequest {
  readonly path: string;
  /** Items that numbers are told of. */
  readonly split: ChoiceItem["split"];
  /** At most this many items of a split, evenly over the file; null for all. */
  readonly limit: number | null;
  /** Where scores are kept; null for the place that items, map and weights name. */
  readonly scoresPath: string | null;
  readonly progress: ProgressBar;
}

export interface ScoredFile {
  readonly told: readonly ScoredItem[];
  /** Items for picking between ways to decide. */
  readonly choosing: readonly ScoredItem[];
}

/** Scores a file's items, those to tell of and those to choose on. Items scored before, also by a run that was killed, are not scored again. */
export async function scoreChoicesFile(ensemble: Ensemble, request: ScoreRequest): Promise<ScoredFile> {
  const { path, split, limit, progress } = request;
  const bytes = await readFile(path);
  const items = parseChoices(path, bytes.toString("utf8"));
  const told = evenly(
    items.filter((item) => item.split === split),
    limit,
  );
  if (told.length === 0) throw new Error(`${path}: expected items of the split "${split}", got none`);
  const choosing = evenly(
    items.filter((item) => item.split === "choose"),
    limit,
  );
  const key = scoresKey(
    bytes,
    ensemble.space,
    ensemble.members.map(({ info }) => info),
  );
  const name = basename(path, ".jsonl");
  const kept = request.scoresPath ?? join(concordPaths().scores, `${name}-${key.slice(0, 16)}.jsonl`);
  const cache = await openScoreCache(kept, key);
  const scorer = createChoiceScorer(ensemble);
  try {
    const wanted = [...new Set([...told, ...choosing])];
    const missing = wanted.filter((item) => cache.get(item.id) === undefined);
    if (missing.length < wanted.length) {
      progress.note(
        `${wanted.length - missing.length} of ${wanted.length} items were scored before: ${kept}`,
      );
    }
    if (missing.length > 0) progress.stage(`scoring ${name}`, missing.length, "steps");
    for (const [i, item] of missing.entries()) {
      await cache.add(
        item.id,
        await scorer.score(item).catch((error: unknown) => rethrow(path, item, error)),
      );
      progress.update(i + 1);
    }
    progress.finish();
    const withScores = (item: ChoiceItem): ScoredItem[] => {
      const scores = cache.get(item.id);
      return scores === undefined ? [] : [{ item, scores }];
    };
    return { told: told.flatMap(withScores), choosing: choosing.flatMap(withScores) };
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

function rethrow(path: string, item: ChoiceItem, error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error);
  throw new Error(`${path}: item ${item.id}: ${reason}`, { cause: error });
}
