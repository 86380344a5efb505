import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { backUp } from "../../adapters/sqlite/back-up.ts";
import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { countAnswers } from "../../adapters/sqlite/records-in-order.ts";
import { fillLog } from "../../bench/log/fill-log.ts";
import { createLogRecord } from "../contracts/log-record.ts";

let folder: string;
let path: string;
let copy: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "concord-back-up-"));
  path = join(folder, "agreement.sqlite");
  copy = join(folder, "copy.sqlite");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const end = Date.UTC(2026, 5, 1);
const fill = (answers: number): void => fillLog(path, { answers, seed: 3, end, spanMs: 3_600_000 });
const unhurried = { signal: new AbortController().signal, onProgress: () => {} };

test("a backup has the log as it was when it began, though others write between its steps", async () => {
  fill(10_000);
  const database = openDatabase(path);
  const writer = createSqliteAgreementLog(openDatabase(path));
  const steps: (readonly [number, number])[] = [];
  const written: Promise<void>[] = [];
  const told = await backUp(database, copy, {
    ...unhurried,
    onProgress(pages, of) {
      steps.push([pages, of]);
      written.push(writer.append(createLogRecord({ requestId: `during-${steps.length}` })));
    },
  });
  await Promise.all(written);
  expect(told).toEqual({ answers: 10_000, bytes: statSync(copy).size });
  // Not begun anew by what was written.
  expect(steps.map(([pages]) => pages)).toEqual(steps.map(([pages]) => pages).toSorted((a, b) => a - b));
  expect(steps.length).toBeGreaterThan(0);
  expect(readdirSync(folder).filter((name) => name.startsWith("copy"))).toEqual(["copy.sqlite"]);
  expect(countAnswers(database)).toBe(10_000 + written.length);

  const restored = openDatabase(copy);
  expect(countAnswers(restored)).toBe(10_000);
  expect(restored.pragma("integrity_check", { simple: true })).toBe("ok");
  await createSqliteAgreementLog(restored).append(createLogRecord({ requestId: "afterwards" }));
  restored.close();
  await writer.close();
  database.close();
});

test(
  "a backup beside a process that writes without a pause is whole, and holds that up by nothing",
  { timeout: 60_000 },
  async () => {
    fill(5000);
    const script = fileURLToPath(new URL("append-forever.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", script, path, "written"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let lines = 0;
    child.stdout.on("data", (chunk: Buffer) => (lines += chunk.toString().split("\n").length - 1));
    await once(child.stdout, "data");
    const database = openDatabase(path);
    const before = lines;
    const { answers } = await backUp(database, copy, unhurried);
    await once(child.stdout, "data");
    child.kill();
    await once(child, "close");
    expect(answers).toBeGreaterThan(5000);
    expect(lines).toBeGreaterThan(before);
    const restored = openDatabase(copy);
    expect(restored.pragma("integrity_check", { simple: true })).toBe("ok");
    expect(countAnswers(restored)).toBe(answers);
    // Whole answers alone: each that begins has its three members and its text.
    expect(
      restored
        .prepare(
          `select count(*) as n from requests r where request_id like 'written%' and
          ((select count(*) from request_members where request = r.id) <> 3 or not exists (select 1 from request_texts where request = r.id))`,
        )
        .get(),
    ).toEqual({ n: 0 });
    restored.close();
    database.close();
  },
);

test("a backup that is interrupted, or of a damaged log, leaves nothing", async () => {
  fill(10_000);
  const database = openDatabase(path);
  const controller = new AbortController();
  const interrupted = new Error("interrupted by SIGINT");
  const stopping = { signal: controller.signal, onProgress: () => controller.abort(interrupted) };
  await expect(backUp(database, copy, stopping)).rejects.toThrow(interrupted);
  await expect(backUp(database, join(folder, "no", "folder.sqlite"), unhurried)).rejects.toThrow("directory");
  database.pragma("wal_checkpoint(truncate)");
  database.close();
  expect(readdirSync(folder)).toEqual(["agreement.sqlite"]);

  const root = rootOf("requests_by_disagreement");
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(4096, 0xab), 0, 4096, (root - 1) * 4096);
  closeSync(file);
  const damaged = openDatabase(path);
  await expect(backUp(damaged, copy, unhurried)).rejects.toThrow(/damaged|malformed/);
  damaged.close();
  expect(readdirSync(folder)).toEqual(["agreement.sqlite"]);
});

/** The first page of an index. */
function rootOf(index: string): number {
  const database = openDatabase(path);
  const row = database
    .prepare<[string], { rootpage: number }>("select rootpage from sqlite_schema where name = ?")
    .get(index);
  database.close();
  return row?.rootpage ?? 0;
}

test("a copy is byte for byte the same when nothing was written between two", async () => {
  fill(100);
  const database = openDatabase(path);
  await backUp(database, copy, unhurried);
  await backUp(database, join(folder, "again.sqlite"), unhurried);
  expect(readFileSync(copy).equals(readFileSync(join(folder, "again.sqlite")))).toBe(true);
  database.close();
});
