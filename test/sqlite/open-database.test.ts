import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepAlive } from "../../adapters/sqlite/keep-alive.ts";
import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { createLogRecord } from "../contracts/log-record.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "concord-database-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("opening creates the folders, and what one log wrote the next one reads", async () => {
  const path = join(folder, "deep", "folder", "agreement.sqlite");
  const record = createLogRecord();
  const first = createSqliteAgreementLog(openDatabase(path));
  await first.append(record);
  await first.close();
  const second = createSqliteAgreementLog(openDatabase(path));
  expect(await second.find(record.requestId)).toStrictEqual(record);
  await second.close();
});

test("a file database keeps a write-ahead log, syncs as WAL needs, waits for a lock and holds foreign keys", () => {
  const database = openDatabase(join(folder, "agreement.sqlite"));
  const setting = (name: string) => database.pragma(name, { simple: true });
  expect(["journal_mode", "synchronous", "busy_timeout", "foreign_keys"].map(setting)).toEqual([
    "wal",
    1,
    5000,
    1,
  ]);
  database.close();
});

test("a file that is not SQLite is refused and left as it is", () => {
  const path = join(folder, "notes.txt");
  const notes = "these are notes, not a database; ".repeat(50);
  writeFileSync(path, notes);
  expect(() => openDatabase(path)).toThrow(
    `agreement log: cannot open ${path}: it is not a SQLite database; move it away or use another file`,
  );
  expect(readFileSync(path, "utf8")).toBe(notes);
});

test("a database newer than the code is refused and left as it is", () => {
  const path = join(folder, "agreement.sqlite");
  const database = openDatabase(path);
  const known = Number(database.pragma("user_version", { simple: true }));
  database.pragma(`user_version = ${known + 1}`);
  database.close();
  const before = readFileSync(path);
  expect(() => openDatabase(path)).toThrow(
    `it has ${known + 1} migrations and this version of Concord knows ${known}; use the newer version that wrote it`,
  );
  expect(readFileSync(path)).toEqual(before);
});

test("another program's database is refused and left as it is", () => {
  const path = join(folder, "bookmarks.sqlite");
  const other = keepAlive(new SqliteDatabase(path));
  other.exec("create table bookmarks (url text)");
  other.close();
  const before = readFileSync(path);
  expect(() => openDatabase(path)).toThrow("it holds the tables of another program; use another file");
  expect(readFileSync(path)).toEqual(before);
});

test("a folder in the file's place is refused by its name", () => {
  expect(() => openDatabase(folder)).toThrow(`agreement log: cannot open ${folder}: `);
});

test("an answer logged before it was kept who answered was answered by the model that was asked", async () => {
  const database = openDatabase(":memory:");
  const log = createSqliteAgreementLog(database);
  const record = createLogRecord();
  await log.append(record);
  database.prepare("update requests set answered_by = null").run();
  expect(await log.find(record.requestId)).toStrictEqual(record);
  await log.close();
});

test("text is kept only of records that have it", async () => {
  const database = openDatabase(":memory:");
  const log = createSqliteAgreementLog(database);
  await log.append(createLogRecord({ requestId: "a" }));
  await log.append(createLogRecord({ requestId: "b", text: { prompt: "p", answer: "a" } }));
  expect(database.prepare("select prompt, answer from request_texts").all()).toEqual([
    { prompt: "p", answer: "a" },
  ]);
  await log.close();
  expect(existsSync(":memory:")).toBe(false);
});

test.each([
  ["most disagreed first", "", "js_divergence desc, created_at desc, id desc"],
  [
    "a model's most disagreed first",
    "where model = 'concord'",
    "js_divergence desc, created_at desc, id desc",
  ],
  ["newest first", "where created_at > 5", "created_at desc, id desc"],
  ["a model's newest first", "where model = 'concord' and created_at > 5", "created_at desc, id desc"],
])("listing %s reads an index in order and sorts nothing", (_, where, order) => {
  const database = openDatabase(":memory:");
  const plan = database
    .prepare<[], { detail: string }>(
      `explain query plan select * from requests ${where} order by ${order} limit 20`,
    )
    .all();
  database.close();
  expect(plan).toHaveLength(1);
  expect(plan[0]?.detail).toMatch(/USING INDEX requests_by_/);
});

test("a log that lacks no migration opens while another process writes", () => {
  const path = join(folder, "agreement.sqlite");
  const writing = openDatabase(path);
  writing.exec("begin immediate");
  const started = performance.now();
  openDatabase(path).close();
  // Waiting for the lock would take the whole time-out of 5 s, and fail.
  expect(performance.now() - started).toBeLessThan(4000);
  writing.exec("rollback");
  writing.close();
});
