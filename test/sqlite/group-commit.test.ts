import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { afterAll, expect, test } from "vitest";
import { createSqliteAgreementLog, createSqliteObservations } from "../../adapters/sqlite/better-sqlite3.ts";
import { keepAlive } from "../../adapters/sqlite/keep-alive.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { createLogRecord } from "../contracts/log-record.ts";

const folder = mkdtempSync(join(tmpdir(), "concord-group-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hour = 3_600_000;
const recordOf = (requestId: string) => createLogRecord({ requestId, createdAt: 1 });
const statuses = (outcomes: readonly PromiseSettledResult<void>[]) => outcomes.map(({ status }) => status);

test("answers that end together are one transaction, seen whole by another connection or not at all", async () => {
  const path = join(folder, "together.sqlite");
  const log = createSqliteAgreementLog(openDatabase(path));
  const other = keepAlive(new SqliteDatabase(path, { readonly: true }));
  const count = () => other.prepare<[], number>("select count(*) from requests").pluck().get();
  const seen: unknown[] = [];
  const answers = ["a", "b", "c"].map((id) => log.append(recordOf(id)).then(() => seen.push(count())));
  expect(count()).toBe(0);
  await Promise.all(answers);
  expect(seen).toEqual([3, 3, 3]);
  other.close();
  await log.close();
});

const right = recordOf("wrong");
const unmeasured = { ...right.report.agreement, jsDivergence: Number.NaN };
test.each([
  ["counted", { ...right, latencyMs: -1 }],
  ["added to the rollups", { ...right, report: { ...right.report, agreement: unmeasured } }],
])("an answer that cannot be %s is refused alone, and the rollups have the others once", async (_, wrong) => {
  const database = openDatabase(":memory:");
  const log = createSqliteAgreementLog(database);
  const outcomes = await Promise.allSettled(
    [recordOf("a"), wrong, recordOf("b")].map((record) => log.append(record)),
  );
  expect(statuses(outcomes)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await log.find("wrong")).toBeNull();
  const { windows } = await createSqliteObservations(database).windows({ from: 0, to: hour }, hour);
  expect(windows.map(({ answers }) => answers)).toEqual([2]);
  await log.close();
});

test("while another process has the database, all that wait are told after one wait", async () => {
  const path = join(folder, "locked.sqlite");
  const database = openDatabase(path);
  database.pragma("busy_timeout = 250");
  const log = createSqliteAgreementLog(database);
  const other = keepAlive(new SqliteDatabase(path));
  other.exec("begin immediate");
  const start = performance.now();
  const outcomes = await Promise.allSettled(["a", "b", "c", "d"].map((id) => log.append(recordOf(id))));
  const tookMs = performance.now() - start;
  expect(statuses(outcomes)).toEqual(Array.from({ length: 4 }, () => "rejected"));
  expect(tookMs).toBeGreaterThan(200);
  expect(tookMs).toBeLessThan(4 * 250);
  other.exec("rollback");
  await log.append(recordOf("a"));
  expect(await log.list({ order: "time", limit: 10 })).toHaveLength(1);
  other.close();
  await log.close();
});

test("where the database cannot be written, every answer of the group is told", async () => {
  const database = openDatabase(":memory:");
  const log = createSqliteAgreementLog(database);
  database.exec("drop table rollups");
  const outcomes = await Promise.allSettled(["a", "b", "c"].map((id) => log.append(recordOf(id))));
  expect(outcomes.map((outcome) => outcome.status === "rejected" && String(outcome.reason))).toEqual(
    Array.from({ length: 3 }, () => "SqliteError: no such table: rollups"),
  );
  expect(await log.list({ order: "time", limit: 10 })).toEqual([]);
  await log.close();
});

test("closing writes what waits", async () => {
  const path = join(folder, "closing.sqlite");
  const log = createSqliteAgreementLog(openDatabase(path));
  const appended = log.append(recordOf("a"));
  await log.close();
  await appended;
  const again = createSqliteAgreementLog(openDatabase(path));
  expect(await again.find("a")).toStrictEqual(recordOf("a"));
  await again.close();
});
