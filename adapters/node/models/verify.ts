import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { silentProgress, type Progress } from "../../../src/ports/progress.ts";
import type { ModelManifest, WeightFile } from "./manifest.ts";

export interface FileCheck {
  readonly file: WeightFile;
  readonly path: string;
  /** `corrupt`: there, but of another size or another sha256. */
  readonly state: "ok" | "missing" | "corrupt";
  /** What is on disk against what belongs there; null when it is ok. */
  readonly reason: string | null;
}

export interface ModelCheck {
  readonly model: ModelManifest;
  readonly installed: boolean;
  readonly files: readonly FileCheck[];
}

export interface CheckOptions {
  /** Hash every file, even one whose hash was checked before and that has not changed since. */
  readonly rehash?: boolean;
  readonly progress?: Progress;
  readonly signal?: AbortSignal | undefined;
}

export const weightPath = (modelsFolder: string, model: ModelManifest, file: WeightFile): string =>
  join(modelsFolder, model.id, file.name);

/** Looks at a model's files. A hash once found right is remembered beside the file with its size and time. */
export async function checkModel(
  model: ModelManifest,
  modelsFolder: string,
  options: CheckOptions = {},
): Promise<ModelCheck> {
  const files: FileCheck[] = [];
  for (const file of model.files)
    files.push(await checkFile(file, weightPath(modelsFolder, model, file), options));
  return { model, installed: files.every((check) => check.state === "ok"), files };
}

async function checkFile(file: WeightFile, path: string, options: CheckOptions): Promise<FileCheck> {
  const found = await stat(path).catch(() => null);
  if (!found) return { file, path, state: "missing", reason: `no file ${path}` };
  if (found.size !== file.bytes) {
    const reason = `${path} has ${found.size} bytes, ${file.bytes} expected`;
    return { file, path, state: "corrupt", reason };
  }
  const known = { sha256: file.sha256, bytes: found.size, modifiedMs: found.mtimeMs };
  if (!options.rehash && (await readRemembered(path)) === JSON.stringify(known)) {
    return { file, path, state: "ok", reason: null };
  }
  const sha256 = await hashFile(path, file, options);
  if (sha256 !== file.sha256) {
    await rm(rememberedPath(path), { force: true });
    return { file, path, state: "corrupt", reason: `${path} has sha256 ${sha256}, ${file.sha256} expected` };
  }
  await remember(path, JSON.stringify(known));
  return { file, path, state: "ok", reason: null };
}

/** Notes that a file was just found right. @throws Error when the file is gone */
export async function rememberVerified(path: string, file: WeightFile): Promise<void> {
  const found = await stat(path);
  await remember(path, JSON.stringify({ sha256: file.sha256, bytes: found.size, modifiedMs: found.mtimeMs }));
}

/** sha256 of a file, hex, streaming. */
export async function hashFile(path: string, file: WeightFile, options: CheckOptions): Promise<string> {
  const progress = options.progress ?? silentProgress;
  progress.stage(`${file.name}: checking`, file.bytes, "bytes");
  const hash = createHash("sha256");
  let done = 0;
  const bytes = createReadStream(path, { highWaterMark: 1 << 20 });
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    options.signal?.throwIfAborted();
    hash.update(chunk);
    done += chunk.byteLength;
    progress.update(done);
  }
  return hash.digest("hex");
}

const rememberedPath = (path: string): string => `${path}.verified.json`;

const readRemembered = async (path: string): Promise<string | null> =>
  readFile(rememberedPath(path), "utf8").catch(() => null);

/** A folder that may not be written to only costs the memory, not the check. */
async function remember(path: string, text: string): Promise<void> {
  const draft = `${rememberedPath(path)}.${process.pid}`;
  await writeFile(draft, text)
    .then(() => rename(draft, rememberedPath(path)))
    .catch(() => {});
}
