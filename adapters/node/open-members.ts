import type { FitMember } from "../../src/ensemble/decoder-rows.ts";
import { createSupervisedMember, type SupervisedMember } from "../../src/ensemble/supervised-member.ts";
import { createTokenContinuations } from "../../src/ensemble/unfinished-token.ts";
import type { Health } from "../../src/ports/health.ts";
import { openGguf, type WeightFile } from "../../src/weights/gguf.ts";
import { createTokenizer } from "../transformers/tokenizer.ts";
import { openFileBytes } from "./file-bytes.ts";
import { memberGraphs, type MemberFiles } from "./graph-cache.ts";
import { findModel, type ModelManifest } from "./models/manifest.ts";
import { pullModel } from "./models/pull.ts";
import { weightPath } from "./models/verify.ts";
import { createOnnxMember } from "./onnx-member.ts";
import { concordPaths } from "./paths.ts";
import { memberSpellings } from "./spellings-cache.ts";
import type { ProgressBar } from "./progress-bar.ts";
import type { Provider } from "./provider.ts";
import { superviseBy, type SupervisionChoices } from "./supervision.ts";

/** The members of the ensemble, the anchor first. */
export const MEMBER_IDS = ["smollm2-135m-instruct", "gemma-3-270m"] as const;

export interface OpenOptions extends SupervisionChoices {
  readonly progress: ProgressBar;
  readonly signal?: AbortSignal | undefined;
  /** What graphs run on. Default: the processor. */
  readonly provider?: Provider | undefined;
  /** Memory for beginnings of texts that members have read, all members together. Default 0: nothing is kept. */
  readonly prefixBytes?: number | undefined;
}

/** Members that run, with what a fit reads of their weights. */
export interface OpenMembers {
  readonly members: readonly [FitMember, ...FitMember[]];
  /** How each of them is. */
  health(): readonly Health[];
  close(): Promise<void>;
}

/** Fetches what is missing, builds what is not there yet, and starts a worker for each member. */
export async function openMembers(options: OpenOptions): Promise<OpenMembers> {
  const sources: MemberSource[] = [];
  for (const id of MEMBER_IDS) sources.push(await prepareMember(id, options));
  return openSources(sources, options);
}

/** Starts a worker for each member, the anchor first. @throws Error when there is none */
export async function openSources(
  sources: readonly MemberSource[],
  options: OpenOptions,
): Promise<OpenMembers> {
  const opened: OpenMember[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((member) => member.close()));
  };
  try {
    opened.push(...(await Promise.all(sources.map((source) => openMember(source, options)))));
    const [anchor, ...others] = opened;
    if (anchor === undefined) throw new Error("no members are configured");
    const following: FitMember[] = [];
    for (const { model, outputRows } of others) {
      const { graphs: directory } = concordPaths();
      const spellings = await memberSpellings({ directory, member: model, anchor: anchor.model, ...options });
      const continuations = createTokenContinuations({ spellings, rows: outputRows });
      following.push({ model, outputRows, continuations });
    }
    const { model, outputRows } = anchor;
    return {
      members: [{ model, outputRows, continuations: null }, ...following],
      health: () => opened.map((member) => member.model.health),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Brings a model's files, with a word on its terms where it has to be. */
export async function pull(model: ModelManifest, { progress, signal }: OpenOptions): Promise<void> {
  const { name, url, noticeRequired } = model.licence;
  const fetched = await pullModel(model, concordPaths().models, { progress, note: progress.note, signal });
  if (fetched && noticeRequired) progress.note(`${model.displayName} is under the ${name}: ${url}`);
}

/** A member's weights and graphs on this machine. */
export interface MemberSource {
  readonly id: string;
  /** Its weight file. */
  readonly path: string;
  readonly files: MemberFiles;
}

/** Fetches a language model where it is missing and builds its graphs where they are not there yet. */
export async function prepareMember(id: string, options: OpenOptions): Promise<MemberSource> {
  const manifest = findModel(id);
  const { progress } = options;
  await pull(manifest, options);
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
    provider: options.provider,
  });
  return { id: manifest.id, path, files };
}

interface OpenMember extends Pick<FitMember, "outputRows"> {
  readonly model: SupervisedMember;
  close(): Promise<void>;
}

async function openMember({ id, path, files }: MemberSource, options: OpenOptions): Promise<OpenMember> {
  const source = await openFileBytes(path);
  const { provider } = options;
  const prefixBytes = Math.floor((options.prefixBytes ?? 0) / MEMBER_IDS.length);
  try {
    const weights = await openGguf(source);
    const tokenizer = createTokenizer(weights.metadata);
    const model = await createSupervisedMember({
      id,
      start: (signal) => createOnnxMember({ id, files, tokenizer, prefixBytes, provider, signal }),
      ...superviseBy(options),
    });
    return {
      model,
      outputRows: (tokens) => readRows(weights, tokens),
      close: async () => {
        await Promise.all([model.close(), source.close()]);
      },
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Rows of the table read at once: a few MB of float32. */
const ROWS_AT_ONCE = 4096;
/** Rows that nobody asked for are read along to save a read. */
const ROWS_BETWEEN = 8;
/** Reads that wait for the disk together. */
const READS_AT_ONCE = 16;

/** Rows of the output head for `tokens`, row-major (n, d); a token of -1 has a row of zeros. */
async function readRows(weights: WeightFile, tokens: Int32Array): Promise<Float32Array> {
  const name = weights.tensors.has("output.weight") ? "output.weight" : "token_embd.weight";
  const width = weights.tensors.get(name)?.shape[1];
  if (width === undefined) throw new Error(`weight file: no table ${name}`);
  const rows = new Float32Array(tokens.length * width);
  // In the order of the table, so that each part of the file is read once.
  const order = Array.from(tokens.keys())
    .filter((at) => (tokens[at] ?? -1) >= 0)
    .sort((a, b) => (tokens[a] ?? 0) - (tokens[b] ?? 0));
  const reads: (() => Promise<void>)[] = [];
  for (let next = 0; next < order.length;) {
    const first = tokens[order[next] ?? 0] ?? 0;
    const from = next;
    let last = first;
    while (next < order.length) {
      const token = tokens[order[next] ?? 0] ?? 0;
      if (token > last + ROWS_BETWEEN || token >= first + ROWS_AT_ONCE) break;
      last = token;
      next++;
    }
    const asked = order.slice(from, next);
    reads.push(async () => {
      const table = await weights.rows(name, first, last - first + 1);
      for (const at of asked) {
        const row = (tokens[at] ?? 0) - first;
        rows.set(table.subarray(row * width, (row + 1) * width), at * width);
      }
    });
  }
  for (let first = 0; first < reads.length; first += READS_AT_ONCE) {
    await Promise.all(reads.slice(first, first + READS_AT_ONCE).map((read) => read()));
  }
  return rows;
}
