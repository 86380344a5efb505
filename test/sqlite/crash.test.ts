import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";

const writer = fileURLToPath(new URL("append-forever.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "concord-crash-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts a writer, kills it without warning `delayMs` after its first request, and tells what it said was written. */
async function writeUntilKilled(path: string, prefix: string, delayMs: number): Promise<string[]> {
  const child = spawn(process.execPath, ["--import", "tsx", writer, path, prefix], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const written: string[] = [];
  const lines = createInterface(child.stdout);
  lines.on("line", (line) => {
    written.push(line);
    if (written.length === 1) setTimeout(() => child.kill("SIGKILL"), delayMs);
  });
  const [code, signal] = await once(child, "close");
  expect({ code, signal }).toEqual({ code: null, signal: "SIGKILL" });
  return written;
}

test("killed while writing, five times and by two processes at once, the log is whole and has every written request", async () => {
  const path = join(folder, "agreement.sqlite");
  const written: string[] = [];
  for (const delayMs of [1, 40, 90, 170, 260]) {
    const writers = [
      writeUntilKilled(path, `a${delayMs}`, delayMs),
      writeUntilKilled(path, `b${delayMs}`, delayMs + 7),
    ];
    written.push(...(await Promise.all(writers)).flat());

    const database = openDatabase(path);
    expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
    expect(database.pragma("foreign_key_check")).toEqual([]);
    const requests = database
      .prepare<[], { id: string; members: number; texts: number }>(
        `select request_id as id,
          (select count(*) from request_members where request = requests.id) as members,
          (select count(*) from request_texts where request = requests.id) as texts
        from requests`,
      )
      .all();
    database.close();
    expect(requests.filter(({ members, texts }) => members !== 3 || texts !== 1)).toEqual([]);
    const present = new Set(requests.map(({ id }) => id));
    expect(written.filter((id) => !present.has(id))).toEqual([]);
  }
  expect(written.length).toBeGreaterThan(10);
});
