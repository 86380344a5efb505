import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface FakeClients {
  /** For PATH: nothing else is in it. */
  readonly bin: string;
  /** The archive they hand out for `NAME==VERSION` (pip) or `group:artifact:version` (mvn). */
  offer(request: string, archive: Uint8Array): Promise<void>;
  /** For this archive the client writes half of it, notes its pid and waits for ever. Null: for none. */
  hangAt(request: string | null): Promise<void>;
  /** The requests so far, oldest first. */
  requests(): Promise<readonly string[]>;
  /** The pid of the client that hangs, once it does. */
  hangingPid(): Promise<number | null>;
}

/** Executables of these names that behave as the real clients do, without a network. */
export async function createFakeClients(
  folder: string,
  names: readonly string[] = ["python3", "mvn"],
): Promise<FakeClients> {
  const bin = join(folder, "bin");
  const offers = join(folder, "offers");
  await Promise.all([mkdir(bin, { recursive: true }), mkdir(offers, { recursive: true })]);
  const program = fileURLToPath(new URL("./fake-client.mjs", import.meta.url));
  for (const name of names) {
    const path = join(bin, name);
    await writeFile(path, `#!/bin/sh\nexec "${process.execPath}" "${program}" "${folder}" "$@"\n`);
    await chmod(path, 0o755);
  }
  const hangPath = join(folder, "hang-at");
  return {
    bin,
    offer: (request, archive) => writeFile(join(offers, encodeURIComponent(request)), archive),
    hangAt: (request) => (request === null ? rm(hangPath) : writeFile(hangPath, request)),
    requests: async () =>
      (await textOf(join(folder, "requests.log"))).split("\n").filter((line) => line !== ""),
    hangingPid: async () => Number(await textOf(join(folder, "hanging-pid"))) || null,
  };
}

const textOf = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");
