import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { explainWriteError, type SourceJob } from "./source.ts";
import { unzipMember } from "./unzip.ts";

/** Where an archive that a package client brought is kept, and which member of it is wanted. */
export interface ArchiveMember {
  readonly archive: string;
  readonly member: string;
}

/** The folders of one run of a package client. */
export interface ClientFolders {
  /** Where the client has to put the archive. */
  readonly dest: string;
  /** For what it writes on the way. */
  readonly temporary: string;
}

/** Folders of broken runs begin with this. */
const ATTEMPT = "attempt-";

export async function archiveExists(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/**
 * Lets a package client download one archive and keeps it under `target`, where it appears only whole.
 * @param download runs the client; throws when it fails
 */
export async function keepArchive(
  target: string,
  job: SourceJob,
  download: (folders: ClientFolders) => Promise<void>,
): Promise<void> {
  await removeBrokenAttempts(job.stagingFolder);
  // A new folder each time: the orphan of a killed attempt may still be writing into the old one.
  const attempt = await mkdtemp(join(job.stagingFolder, ATTEMPT));
  const folders = { dest: join(attempt, "dest"), temporary: join(attempt, "tmp") };
  try {
    await Promise.all([mkdir(folders.dest), mkdir(folders.temporary)]);
    await download(folders);
    const archive = (await readdir(folders.dest)).find((name) => /\.(whl|jar)$/.test(name));
    if (archive === undefined) throw new Error("the client reported success but left no archive");
    await rename(join(folders.dest, archive), target);
  } finally {
    await rm(attempt, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function removeBrokenAttempts(stagingFolder: string): Promise<void> {
  const attempts = (await readdir(stagingFolder)).filter((name) => name.startsWith(ATTEMPT));
  for (const name of attempts)
    await rm(join(stagingFolder, name), { recursive: true, force: true, maxRetries: 3 });
}

/** Writes the members one after the other to `job.partPath`. An archive that turns out broken is removed. */
export async function joinMembers(members: readonly ArchiveMember[], job: SourceJob): Promise<void> {
  job.progress.stage(`${job.file.name}: unpacking`, job.file.bytes, "bytes");
  const out = await open(job.partPath, "w");
  let written = 0;
  try {
    for (const { archive, member } of members) {
      const before = written;
      const onBytes = (bytes: number): void => job.progress.update(before + bytes);
      const limit = job.file.bytes - before;
      written += await unzipMember(archive, member, out, limit, onBytes, job.signal).catch(async (error) => {
        job.signal?.throwIfAborted();
        const explained = explainWriteError(job, error);
        // The next attempt must not find a broken archive again; on a full disk the archive is not to blame.
        if (explained === error) await rm(archive, { force: true });
        throw explained;
      });
    }
  } finally {
    await out.close();
  }
  if (written !== job.file.bytes) {
    throw new Error(`${job.file.name} unpacked to ${written} bytes, ${job.file.bytes} expected`);
  }
}

/** Bytes of all files below a folder. Files that vanish meanwhile count nothing. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        (found) => found.size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
