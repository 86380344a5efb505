import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { createLogWriter, type LogWriterOptions } from "../../adapters/sqlite/log-writer.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { KEEP_EVERYTHING } from "../../adapters/sqlite/upkeep.ts";
import { describeAgreementLog } from "../contracts/agreement-log.ts";
import { createLogRecord } from "../contracts/log-record.ts";

const folder = mkdtempSync(join(tmpdir(), "concord-writer-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const newPath = () => join(folder, `${++files}.sqlite`);
const writerOf = (path: string, options: Partial<LogWriterOptions> = {}) =>
  createLogWriter({
    path,
    retention: KEEP_EVERYTHING,
    onUpkeepError: (message) => {
      throw new Error(message);
    },
    ...options,
  });

describeAgreementLog("better-sqlite3, written on another thread", async () => {
  const path = newPath();
  return createSqliteAgreementLog(openDatabase(path), writerOf(path));
});

test("answers that end together are written together, and one that cannot be fails alone", async () => {
  const path = newPath();
  const log = createSqliteAgreementLog(openDatabase(path), writerOf(path));
  const right = createLogRecord({ requestId: "wrong", createdAt: 1 });
  const outcomes = await Promise.allSettled([
    log.append(createLogRecord({ requestId: "a", createdAt: 1 })),
    log.append({ ...right, latencyMs: -1 }),
    log.append(createLogRecord({ requestId: "b", createdAt: 2 })),
    log.append(createLogRecord({ requestId: "a", createdAt: 3 })),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "rejected"]);
  expect(outcomes.at(-1)).toMatchObject({
    reason: { message: expect.stringContaining("request a is already written") },
  });
  expect((await log.list({ limit: 10, order: "time" })).map(({ requestId }) => requestId)).toEqual([
    "b",
    "a",
  ]);
  await log.close();
});

test("what waits when it is closed is written", async () => {
  const path = newPath();
  openDatabase(path).close();
  const writer = writerOf(path);
  const written = writer.append(createLogRecord({ requestId: "last" }), null);
  await writer.close();
  await written;
  const log = createSqliteAgreementLog(openDatabase(path));
  expect(await log.find("last")).not.toBeNull();
  await log.close();
});

test("a thread that cannot write refuses answers with the reason, and the next one has another", async () => {
  const path = newPath();
  writeFileSync(path, "This is no database, however one looks at it.".repeat(100));
  const writer = writerOf(path);
  await expect(writer.append(createLogRecord({ requestId: "a" }), null)).rejects.toThrow(
    /the answer could not be written: .*not a SQLite database/,
  );
  rmSync(path);
  await writer.append(createLogRecord({ requestId: "b" }), null);
  await writer.close();
  const log = createSqliteAgreementLog(openDatabase(path));
  expect(await log.find("b")).not.toBeNull();
  await log.close();
});

test("the thread deletes what is too old", async () => {
  const path = newPath();
  const log = createSqliteAgreementLog(
    openDatabase(path),
    writerOf(path, { retention: { maxAgeMs: 60_000, maxBytes: null } }),
  );
  await log.append(createLogRecord({ requestId: "old", createdAt: Date.now() - 120_000 }));
  await log.append(createLogRecord({ requestId: "new", createdAt: Date.now() }));
  await log.close();
  const again = createSqliteAgreementLog(
    openDatabase(path),
    writerOf(path, { retention: { maxAgeMs: 60_000, maxBytes: null } }),
  );
  await expect.poll(() => again.find("old")).toBeNull();
  expect(await again.find("new")).not.toBeNull();
  await again.close();
});
