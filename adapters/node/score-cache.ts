import { createHash } from "node:crypto";
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import type { SharedSpace } from "../../src/alignment/shared-space.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";
import type { ItemScores } from "../../src/ensemble/score-choices.ts";

/** Raise it when scores of the same items by the same models come out differently: older files are then refused. */
const SCORES_VERSION = 1;

const headerSchema = z.object({ concord: z.literal("choice scores"), key: z.string() });

const lineSchema = z.object({
  id: z.string(),
  bytes: z.array(z.int()),
  rows: z.array(
    z.object({
      name: z.string(),
      tokens: z.array(z.int()),
      logprobs: z.array(z.number()),
    }),
  ),
});

/** Scores of items in a file, a line each, so that a run that was killed goes on where it was. */
export interface ScoreCache {
  /** Items that were there when it was opened. */
  readonly found: number;
  get(id: string): ItemScores | undefined;
  add(id: string, scores: ItemScores): Promise<void>;
  close(): Promise<void>;
}

/** What decides the scores, sha256 in hex: the items' file, the space, the weights, and how this version scores. */
export function scoresKey(data: Uint8Array, space: SharedSpace, members: readonly ModelInfo[]): string {
  const hash = createHash("sha256").update(`${SCORES_VERSION} ${data.length} `).update(data);
  for (const { weightsHash } of members) hash.update(weightsHash);
  hash.update(spaceHash(space));
  return hash.digest("hex");
}

/** The maps, offsets, biases and weights of a space, sha256 in hex. */
export function spaceHash({ dimension, decoderCentre, members }: SharedSpace): string {
  const hash = createHash("sha256").update(`${dimension}`).update(decoderCentre);
  for (const { id, weight, projection, offset, factor, tokenBias } of members) {
    hash.update(`${id} ${weight}`).update(projection).update(offset).update(factor).update(tokenBias);
  }
  return hash.digest("hex");
}

/**
 * Opens or creates a file of scores. A last line that a killed run left unfinished is dropped.
 * @throws Error when the file holds something else, or scores of other items, maps or weights
 */
export async function openScoreCache(path: string, key: string): Promise<ScoreCache> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a+");
  try {
    const known = await readKnown(path, file, key);
    return {
      found: known.size,
      get: (id) => known.get(id),
      async add(id, scores) {
        known.set(id, scores);
        await file.appendFile(`${JSON.stringify({ id, ...scores })}\n`);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readKnown(path: string, file: FileHandle, key: string): Promise<Map<string, ItemScores>> {
  const bytes = await file.readFile();
  const whole = bytes.lastIndexOf("\n") + 1;
  const [header, ...lines] = bytes.subarray(0, whole).toString("utf8").split("\n").slice(0, -1);
  const known = new Map<string, ItemScores>();
  if (header === undefined) {
    // Nothing, or a first line that was never finished: that is the only text without a line's end we may clear.
    if (!HEADER_START.startsWith(bytes.toString("utf8").slice(0, HEADER_START.length))) throw foreign(path);
    await file.truncate(0);
    await file.appendFile(`${JSON.stringify({ concord: "choice scores", key })}\n`);
    return known;
  }
  const told = headerSchema.safeParse(parsed(header));
  if (!told.success) throw foreign(path);
  if (told.data.key !== key) {
    throw new Error(
      `${path} holds scores of other items, maps or weights than these; name another file, or delete it`,
    );
  }
  await file.truncate(whole);
  for (const [i, line] of lines.entries()) {
    const entry = lineSchema.safeParse(parsed(line));
    if (!entry.success) throw new Error(`${path}:${i + 2} is damaged; delete the file and score anew`);
    const { id, ...scores } = entry.data;
    known.set(id, scores);
  }
  return known;
}

const HEADER_START = '{"concord":"choice scores"';

function foreign(path: string): Error {
  return new Error(`${path} is no file of choice scores; name another one`);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
