import { statfs } from "node:fs/promises";
import type { Progress } from "../../../src/ports/progress.ts";
import type { WeightFile, WeightSource } from "./manifest.ts";

/** What a source works with while it brings one file. */
export interface SourceJob {
  readonly file: WeightFile;
  /** Where the whole file has to stand in the end. What is there already may be continued. */
  readonly partPath: string;
  /** A folder of this job's own on the same disk. What is left in it is found again by the next attempt. */
  readonly stagingFolder: string;
  readonly progress: Progress;
  readonly env: NodeJS.ProcessEnv;
  readonly limits: TransferLimits;
  readonly freeBytes: (folder: string) => Promise<number>;
  readonly signal?: AbortSignal | undefined;
}

export interface TransferLimits {
  /** A server has to answer within this time, milliseconds. */
  readonly connectMs: number;
  /** A transfer that brings nothing for this long is broken off, milliseconds. */
  readonly stallMs: number;
  /** A package client that neither writes nor says anything for this long is stopped, milliseconds. */
  readonly clientQuietMs: number;
}

export const transferLimits: TransferLimits = { connectMs: 5_000, stallMs: 15_000, clientQuietMs: 60_000 };

/**
 * Brings a file from one kind of source to `job.partPath`. Whether it is the right file is not its concern.
 * @returns whether anything left by an earlier attempt was used
 * @throws Error that says what was expected, what came and what to do
 */
export type FetchSource<S extends WeightSource> = (source: S, job: SourceJob) => Promise<boolean>;

/** Bytes a user may still write on the disk that holds `folder`. */
export async function freeBytes(folder: string): Promise<number> {
  const disk = await statfs(folder);
  return disk.bavail * disk.bsize;
}

/** @throws Error when the disk has less room than `neededBytes` */
export async function requireDiskSpace(job: SourceJob, neededBytes: number): Promise<void> {
  const free = await job.freeBytes(job.stagingFolder);
  if (free < neededBytes) throw diskFull(job, `${megabytes(neededBytes)} needed, ${megabytes(free)} free`);
}

/** The same error for a disk found full beforehand and for one that fills up meanwhile. */
export function diskFull(job: SourceJob, what: string, cause?: unknown): Error {
  const message = `no room for ${job.file.name} in ${job.stagingFolder}: ${what}; free some space, or set CONCORD_HOME to a folder on another disk`;
  return new Error(message, cause === undefined ? undefined : { cause });
}

/** Turns ENOSPC and its kin into an error that says what to do; anything else passes. */
export function explainWriteError(job: SourceJob, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") return diskFull(job, "the disk is full", error);
  return error;
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
