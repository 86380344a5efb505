import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import type { SplitItems } from "../../src/ensemble/choice-report.ts";
import type { ScoredItem } from "../../src/ensemble/choice-ways.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import type { ChoiceItem } from "../../src/ensemble/option-tokens.ts";
import {
  createChoiceScorer,
  type ItemScores,
  type OptionScores,
  type WantedScores,
} from "../../src/ensemble/score-choices.ts";
import { parseChoices } from "./choices-file.ts";
import { openKeyedLines, type KeyedLines } from "./keyed-lines.ts";
import type { ProgressBar } from "./progress-bar.ts";
import { membersKey, modelsKey, scoresPath } from "./score-keys.ts";
import { stateFrom, stateText } from "./state-text.ts";

export interface ScoreRequest {
  readonly path: string;
  /** Items that numbers are told of. */
  readonly split: ChoiceItem["split"];
  /** Whether decisions are to be learned from the items of the split "fit". */
  readonly learn: boolean;
  /** Whether what members say together is scored too; learned decisions do without. */
  readonly together: boolean;
  /** At most this many items of a split, evenly over the file; null for all. */
  readonly limit: number | null;
  /** Where scores are kept; null for the file in CONCORD_HOME that belongs to the members. */
  readonly scoresPath: string | null;
  readonly progress: ProgressBar;
}

/** Raise one when the same items come to other scores of its kind under the same models. */
const ALONE_VERSION = 2;
const TOGETHER_VERSION = 5;

const optionScores = { name: z.string(), tokens: z.array(z.int()), logprobs: z.array(z.number()) };

/** What members say alone, or together: they are kept apart, for another map changes only what they say together. */
const scoresSchema = z.union([
  z.object({
    bytes: z.array(z.int()),
    /** States as in state-text.ts. */
    alone: z.array(z.object({ ...optionScores, states: z.array(z.base64()) })),
  }),
  z.object({ together: z.array(z.object(optionScores)) }),
]);

type KeptScores = z.infer<typeof scoresSchema>;

/**
 * Scores a file's items, those to tell of, those to choose on and those to learn from. Items scored before, also by a run
 * that was killed, are not scored again.
 */
export async function scoreChoicesFile(ensemble: Ensemble, request: ScoreRequest): Promise<SplitItems> {
  const { path, split, together, limit, progress } = request;
  const items = parseChoices(path, await readFile(path, "utf8"));
  const ofSplit = (wanted: ChoiceItem["split"]): readonly ChoiceItem[] =>
    evenly(
      items.filter((item) => item.split === wanted),
      limit,
    );
  const told = ofSplit(split);
  if (told.length === 0) throw new Error(`${path}: expected items of the split "${split}", got none`);
  const choosing = ofSplit("choose");
  // What is learned from items is not told of them.
  const fit = request.learn && split === "report" && choosing.length > 0 ? ofSplit("fit") : [];
  const learned = new Set(fit);
  const all = [...new Set([...told, ...choosing, ...fit])];
  const scored = new Map(
    (
      await scoreItems(ensemble, all, {
        name: basename(path),
        // Items to learn from need only what members say alone.
        wanted: (item) => ({ alone: true, together: together && !learned.has(item) }),
        scoresPath: request.scoresPath,
        progress,
      })
    ).map((found) => [found.item, found]),
  );
  const of = (wanted: readonly ChoiceItem[]): ScoredItem[] =>
    wanted.flatMap((item) => scored.get(item) ?? []);
  return { told: of(told), choosing: of(choosing), fit: of(fit) };
}

export interface ItemsRequest extends Pick<ScoreRequest, "scoresPath" | "progress"> {
  /** What they are called while they are scored. */
  readonly name: string;
  readonly wanted: (item: ChoiceItem) => WantedScores;
}

/** Scores items in their order; what was scored before is read. @throws Error naming the item that cannot be scored */
export async function scoreItems(
  ensemble: Ensemble,
  items: readonly ChoiceItem[],
  { name, wanted, scoresPath: path, progress }: ItemsRequest,
): Promise<ScoredItem[]> {
  const keys = {
    alone: membersKey(ensemble, `${ALONE_VERSION}`),
    together: modelsKey(ensemble, `${TOGETHER_VERSION}`),
  };
  const kept = path ?? scoresPath("choices", keys.alone);
  const cache = await openKeyedLines(kept, scoresSchema);
  const missingOf = (item: ChoiceItem): WantedScores => {
    const { alone, together } = wanted(item);
    return {
      alone: alone && cache.get(itemKey(keys.alone, item)) === undefined,
      together: together && cache.get(itemKey(keys.together, item)) === undefined,
    };
  };
  const scorer = createChoiceScorer(ensemble);
  try {
    const missing = items.filter((item) => Object.values(missingOf(item)).some(Boolean));
    if (missing.length < items.length) {
      progress.note(`${items.length - missing.length} of ${items.length} items were scored before: ${kept}`);
    }
    if (missing.length > 0) progress.stage(`scoring ${name}`, missing.length, "steps");
    for (const [i, item] of missing.entries()) {
      const asked = missingOf(item);
      const scores = await scorer.score(item, asked).catch((error: unknown) => rethrow(name, item, error));
      if (asked.alone) await cache.add(itemKey(keys.alone, item), keptAlone(scores));
      if (asked.together) await cache.add(itemKey(keys.together, item), keptTogether(scores));
      progress.update(i + 1);
    }
    progress.finish();
    return items.map((item) => ({ item, scores: knownScores(cache, keys, item) }));
  } finally {
    scorer.close();
    await cache.close();
  }
}

/** What is kept of an item; empty where there is nothing. */
function knownScores(
  cache: Pick<KeyedLines<KeptScores>, "get">,
  keys: { readonly alone: string; readonly together: string },
  item: ChoiceItem,
): ItemScores {
  const own = cache.get(itemKey(keys.alone, item));
  const shared = cache.get(itemKey(keys.together, item));
  const { bytes, alone } = own !== undefined && "alone" in own ? own : { bytes: [], alone: [] };
  return {
    bytes,
    alone: alone.map(({ name, tokens, logprobs, states }) => ({
      name,
      tokens,
      logprobs,
      states: states.map(stateFrom),
    })),
    together: shared !== undefined && "together" in shared ? shared.together : [],
  };
}

function keptAlone({ bytes, alone }: ItemScores): KeptScores {
  return {
    bytes: [...bytes],
    alone: alone.map(({ states, ...scores }) => ({
      ...optionScoresOf(scores),
      states: states.map(stateText),
    })),
  };
}

function keptTogether({ together }: ItemScores): KeptScores {
  return { together: together.map(optionScoresOf) };
}

function optionScoresOf({ name, tokens, logprobs }: OptionScores): {
  name: string;
  tokens: number[];
  logprobs: number[];
} {
  return { name, tokens: [...tokens], logprobs: [...logprobs] };
}

/** At most `limit` of them, evenly from the first to the last. */
export function evenly<T>(items: readonly T[], limit: number | null): readonly T[] {
  if (limit === null || items.length <= limit) return items;
  return items.filter(
    (_, i) => Math.floor(((i + 1) * limit) / items.length) > Math.floor((i * limit) / items.length),
  );
}

/** What decides an item's scores, sha256 in hex: what makes them (`models`) and its texts. */
function itemKey(models: string, { context, choices }: ChoiceItem): string {
  return createHash("sha256")
    .update(JSON.stringify([models, context, choices]))
    .digest("hex");
}

function rethrow(path: string, item: ChoiceItem, error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error);
  throw new Error(`${path}: item ${item.id}: ${reason}`, { cause: error });
}
