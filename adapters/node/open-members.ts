import type { FitMember } from "../../src/ensemble/anchor-rows.ts";
import { openGguf, type WeightFile } from "../../src/weights/gguf.ts";
import { createTokenizer } from "../transformers/tokenizer.ts";
import { openFileBytes } from "./file-bytes.ts";
import { memberGraphs, type MemberFiles } from "./graph-cache.ts";
import { findModel, type ModelManifest } from "./models/manifest.ts";
import { pullModel } from "./models/pull.ts";
import { weightPath } from "./models/verify.ts";
import { createOnnxMember } from "./onnx-member.ts";
import { concordPaths } from "./paths.ts";
import type { ProgressBar } from "./progress-bar.ts";

/** The members of the ensemble, the anchor first. */
export const MEMBER_IDS = ["smollm2-135m-instruct", "gemma-3-270m"] as const;

export interface OpenOptions {
  readonly progress: ProgressBar;
  readonly signal?: AbortSignal | undefined;
}

/** Members that run, with what a fit reads of their weights. */
export interface OpenMembers {
  readonly members: readonly [FitMember, ...FitMember[]];
  close(): Promise<void>;
}

/** Fetches what is missing, builds the graphs that are not there yet, and starts a worker for each member. */
export async function openMembers(options: OpenOptions): Promise<OpenMembers> {
  const opened: FitMember[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map(({ model }) => model.close()));
  };
  try {
    for (const id of MEMBER_IDS) await pull(findModel(id), options);
    const sources: MemberSource[] = [];
    for (const id of MEMBER_IDS) sources.push(await prepare(findModel(id), options));
    opened.push(...(await Promise.all(sources.map(openMember))));
    const [anchor, ...others] = opened;
    if (anchor === undefined) throw new Error("no members are configured");
    return { members: [anchor, ...others], close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function pull(model: ModelManifest, { progress, signal }: OpenOptions): Promise<void> {
  const { name, url, noticeRequired } = model.licence;
  const fetched = await pullModel(model, concordPaths().models, { progress, note: progress.note, signal });
  if (fetched && noticeRequired) progress.note(`${model.displayName} is under the ${name}: ${url}`);
}

interface MemberSource {
  readonly id: string;
  readonly path: string;
  readonly files: MemberFiles;
}

async function prepare(manifest: ModelManifest, { progress }: OpenOptions): Promise<MemberSource> {
  const [file] = manifest.files;
  if (file === undefined) throw new Error(`${manifest.id}: the manifest names no weight file`);
  const { models, graphs } = concordPaths();
  const path = weightPath(models, manifest, file);
  const files = await memberGraphs({
    directory: graphs,
    weightPath: path,
    weightsHash: file.sha256,
    label: manifest.id,
    progress,
  });
  return { id: manifest.id, path, files };
}

async function openMember({ id, path, files }: MemberSource): Promise<FitMember> {
  const tokenizer = await withWeights(path, async ({ metadata }) => createTokenizer(metadata));
  const model = await createOnnxMember({ id, files, tokenizer });
  return { model, outputRows: (tokens) => withWeights(path, (weights) => outputRows(weights, tokens)) };
}

async function withWeights<T>(path: string, read: (weights: WeightFile) => Promise<T>): Promise<T> {
  const source = await openFileBytes(path);
  try {
    return await read(await openGguf(source));
  } finally {
    await source.close();
  }
}

/** Rows of the table read at once: a few MB of float32. */
const ROWS_AT_ONCE = 4096;

/** Rows of the output head for `tokens`, row-major (n, d); a token of -1 has a row of zeros. */
async function outputRows(weights: WeightFile, tokens: Int32Array): Promise<Float32Array> {
  const name = weights.tensors.has("output.weight") ? "output.weight" : "token_embd.weight";
  const [vocabulary, width] = weights.tensors.get(name)?.shape ?? [];
  if (vocabulary === undefined || width === undefined) throw new Error(`weight file: no table ${name}`);
  const rows = new Float32Array(tokens.length * width);
  // In the order of the table, so that each part of the file is read once.
  const order = Array.from(tokens.keys()).sort((a, b) => (tokens[a] ?? 0) - (tokens[b] ?? 0));
  let first = 0;
  let table: Float32Array = new Float32Array(0);
  for (const at of order) {
    const token = tokens[at] ?? -1;
    if (token < 0) continue;
    while (token >= first + table.length / width) {
      first = token - (token % ROWS_AT_ONCE);
      table = await weights.rows(name, first, Math.min(ROWS_AT_ONCE, vocabulary - first));
    }
    rows.set(table.subarray((token - first) * width, (token - first + 1) * width), at * width);
  }
  return rows;
}
