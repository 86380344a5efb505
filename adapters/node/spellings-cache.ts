import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spellVocabulary, type Spellings } from "../../src/ensemble/spellings.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import type { Progress } from "../../src/ports/progress.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/weights/safetensors.ts";
import { buildOnce } from "./graph-cache.ts";

/** Raise it whenever the same vocabularies are spelled otherwise. */
const SPELLINGS_VERSION = 1;
const FILE = "spellings.safetensors";

export interface SpellingsOptions {
  /** Where graphs are kept: `concordPaths().graphs`. */
  readonly directory: string;
  readonly member: LanguageModel;
  readonly anchor: LanguageModel;
  readonly progress: Progress;
}

/** A member's vocabulary in the anchor's tokens, spelled unless that is kept already. */
export async function memberSpellings(options: SpellingsOptions): Promise<Spellings> {
  const { directory, member, anchor, progress } = options;
  const key = [member, anchor].map(({ info }) => info.weightsHash.slice(0, 32)).join("-");
  const folder = join(directory, `spellings-${key}-v${SPELLINGS_VERSION}`);
  await buildOnce(folder, async (target) => {
    progress.stage(`spelling ${member.info.id}'s vocabulary`, member.tokenizer.vocabularySize, "tokens");
    const spellings = spellVocabulary(member.tokenizer, anchor.tokenizer, progress);
    progress.finish();
    const tensors = Object.entries(spellings).map(
      ([name, data]: [string, Int32Array]) => [name, { dtype: "I32", shape: [data.length], data }] as const,
    );
    await writeFile(join(target, FILE), encodeSafetensors(new Map(tensors), new Map()));
  });
  const { tensors } = decodeSafetensors(await readFile(join(folder, FILE)));
  const read = (name: keyof Spellings): Int32Array => {
    const data = tensors.get(name)?.data;
    if (data instanceof Int32Array) return data;
    throw new Error(
      `${join(folder, FILE)}: expected whole numbers ${name}; delete the folder to make it anew`,
    );
  };
  return { tokens: read("tokens"), starts: read("starts"), spelled: read("spelled") };
}
