import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSqliteAgreementLog, createSqliteObservations } from "../../adapters/sqlite/better-sqlite3.ts";
import { keepAlive } from "../../adapters/sqlite/keep-alive.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import {
  foldSome,
  KEEP_EVERYTHING,
  pruneSome,
  startUpkeep,
  usedBytes,
  vacuumSome,
} from "../../adapters/sqlite/upkeep.ts";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import { createLogRecord } from "../contracts/log-record.ts";
import { createManualTimers } from "../manual-timers.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "concord-upkeep-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const start = Date.UTC(2026, 0, 5);
const hour = 3_600_000;
const everything = { from: start, to: start + 100 * hour };

/** Every answer of its own: with and without a divergence, with a loss, alone. */
const oldRecords: readonly LogRecord[] = Array.from({ length: 240 }, (_, index) => {
  const record = createLogRecord({
    requestId: `old-${index}`,
    createdAt: start + index * 100_000,
    members: 1 + (index % 3),
    latencyMs: 10 + index,
    agreement:
      index % 4 === 0
        ? { positions: 0, jsDivergence: null, top1Agreement: null, stateDistance: null }
        : { positions: index },
  });
  const members = record.report.members.map((member, m) =>
    index % 6 === 0 && m === 0
      ? Object.assign({}, member, { lost: { position: 1, reason: "it ended" } })
      : member,
  );
  return { ...record, report: { ...record.report, members } };
});

/** A database as the version with four migrations left it: a row per metric, no rollups. */
function writeOldDatabase(path: string): void {
  const database = keepAlive(new SqliteDatabase(path));
  const migrations = readMigrationFiles({
    migrationsFolder: fileURLToPath(new URL("../../migrations", import.meta.url)),
  });
  for (const migration of migrations.slice(0, 4))
    for (const statement of migration.sql) database.exec(statement);
  database.pragma("user_version = 4");
  const request = database.prepare(
    `insert into requests (request_id, created_at, endpoint, model, answered_by, prompt_tokens, completion_tokens,
      finish_reason, latency_ms, first_token_ms, js_divergence) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const member = database.prepare(
    `insert into request_members (request, position, member, weight, bits_per_byte, top1_agreement, entropy, latency_ms,
      lost_position, lost_reason) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const metric = database.prepare("insert into agreement_metrics (request, metric, value) values (?, ?, ?)");
  database.transaction(() => {
    for (const record of oldRecords) {
      const { report } = record;
      const { agreement } = report;
      const { lastInsertRowid: id } = request.run(
        record.requestId,
        record.createdAt,
        record.endpoint,
        record.model,
        report.answeredBy,
        record.promptTokens,
        record.completionTokens,
        record.finishReason,
        record.latencyMs,
        record.firstTokenMs,
        agreement.jsDivergence,
      );
      report.members.forEach((m, position) =>
        member.run(
          id,
          position,
          m.id,
          m.weight,
          m.bitsPerByte,
          m.top1Agreement,
          m.entropy,
          m.latencyMs,
          m.lost?.position,
          m.lost?.reason,
        ),
      );
      const metrics = {
        positions: agreement.positions,
        js_divergence: agreement.jsDivergence,
        top1_agreement: agreement.top1Agreement,
        state_distance: agreement.stateDistance,
        bits_per_byte: report.bitsPerByte,
        entropy: report.entropy,
      };
      for (const [name, value] of Object.entries(metrics)) if (value !== null) metric.run(id, name, value);
    }
  })();
  database.close();
}

const count = (database: Database, table: string): number =>
  database.prepare<[], { n: number }>(`select count(*) as n from ${table}`).get()?.n ?? 0;

/** Windows of a log that was written by this version from the start. */
async function windowsWanted(records: readonly LogRecord[]) {
  const database = openDatabase(":memory:");
  const log = createSqliteAgreementLog(database);
  for (const record of records) await log.append(record);
  const { windows } = await createSqliteObservations(database).windows(everything, hour);
  await log.close();
  return windows;
}

test("an old database opens at once, reads the same before, while and after it is folded, and is counted once", async () => {
  const path = join(folder, "agreement.sqlite");
  writeOldDatabase(path);
  const database = openDatabase(path);
  const log = createSqliteAgreementLog(database);
  const observations = createSqliteObservations(database);
  const fresh = createLogRecord({ requestId: "fresh", createdAt: start + 90 * hour });
  await log.append(fresh);
  const expectAllThere = async () =>
    expect((await log.list({ order: "time", limit: 1000 })).toReversed()).toStrictEqual([
      ...oldRecords,
      fresh,
    ]);

  await expectAllThere();
  expect((await observations.size()).uncounted).toBe(240);
  expect((await observations.windows(everything, hour)).complete).toBe(false);
  const { windows: lost } = await observations.windows(everything, hour, {
    degraded: true,
    minDivergence: 0,
  });
  expect(lost.reduce((sum, { degraded }) => sum + degraded, 0)).toBe(20);

  expect(foldSome(database, 100)).toBe(140);
  await expectAllThere();
  expect((await observations.size()).uncounted).toBe(140);
  while (foldSome(database, 100) > 0);
  expect(foldSome(database, 100)).toBe(0);

  await expectAllThere();
  expect(count(database, "agreement_metrics")).toBe(0);
  const { windows, complete } = await observations.windows(everything, hour);
  expect(complete).toBe(true);
  expect(rounded(windows)).toEqual(rounded(await windowsWanted([...oldRecords, fresh])));
  await log.close();
});

/** But for the last bits of sums in another order. */
function rounded(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, part: unknown) =>
    typeof part === "number" ? Number(part.toPrecision(12)) : part,
  );
}

test("folding that is killed again and again in the middle goes on, and every answer is counted once", async () => {
  const path = join(folder, "agreement.sqlite");
  writeOldDatabase(path);
  openDatabase(path).close();
  const folder_ = fileURLToPath(new URL("fold-forever.ts", import.meta.url));
  let left = 240;
  for (let kill = 0; kill < 4 && left > 0; kill++) {
    const child = spawn(process.execPath, ["--import", "tsx", folder_, path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.once("data", () => child.kill("SIGKILL"));
    await once(child, "close");
    const database = openDatabase(path);
    const { uncounted } = await createSqliteObservations(database).size();
    expect(uncounted).toBeLessThan(left);
    left = uncounted;
    expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
    database.close();
  }
  const database = openDatabase(path);
  while (foldSome(database, 7) > 0);
  const { windows } = await createSqliteObservations(database).windows(everything, hour);
  expect(rounded(windows)).toEqual(rounded(await windowsWanted(oldRecords)));
  database.close();
});

async function fill(database: Database, records: number): Promise<void> {
  const log = createSqliteAgreementLog(database);
  for (let index = 0; index < records; index++) {
    await log.append(
      createLogRecord({
        requestId: `r${index}`,
        createdAt: start + index * hour,
        text: { prompt: "p".repeat(2000), answer: "a" },
      }),
      {
        members: ["member-0", "member-1"],
        positions: [{ divergence: 0, logprob: -1, weights: [0.5, 0.5] }],
        tokens: null,
      },
    );
  }
}

test("answers that are too old go with all that is theirs, the others and the hours' rollups stay", async () => {
  const database = openDatabase(":memory:");
  await fill(database, 10);
  const retention = { ...KEEP_EVERYTHING, maxAgeMs: 5 * hour };
  const now = start + 9 * hour;
  expect(pruneSome(database, retention, now, 3)).toBe(3);
  expect(pruneSome(database, retention, now, 3)).toBe(1);
  expect(pruneSome(database, retention, now, 3)).toBe(0);
  for (const table of ["requests", "request_texts", "request_traces"]) expect(count(database, table)).toBe(6);
  expect(count(database, "request_members")).toBe(12);
  expect(database.pragma("foreign_key_check")).toEqual([]);
  const { windows } = await createSqliteObservations(database).windows(everything, hour);
  expect(windows).toHaveLength(10);
  expect(database.prepare("select min(start) as start from rollups where width_ms = 60000").get()).toEqual({
    start: start + 4 * hour,
  });
  database.close();
});

test("above the size limit the oldest go until the database fits, and the file gets smaller", async () => {
  const path = join(folder, "agreement.sqlite");
  const database = openDatabase(path);
  await fill(database, 3000);
  const pages = () => Number(database.pragma("page_count", { simple: true }));
  const [before, full] = [pages(), usedBytes(database)];
  const retention = { ...KEEP_EVERYTHING, maxBytes: Math.floor(full / 4) };
  while (pruneSome(database, retention, start, 50) > 0);
  expect(usedBytes(database)).toBeLessThanOrEqual(retention.maxBytes);
  expect(usedBytes(database)).toBeGreaterThan(0.9 * retention.maxBytes);
  expect(database.prepare("select max(request_id = 'r2999') as newest from requests").get()).toEqual({
    newest: 1,
  });
  while (vacuumSome(database, 64));
  expect(pages()).toBeLessThan(before - 100);
  expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
  database.close();
});

test("nothing is deleted unless that was asked for", async () => {
  const database = openDatabase(":memory:");
  await fill(database, 3);
  expect(pruneSome(database, KEEP_EVERYTHING, start + 1e12, 50)).toBe(0);
  database.close();
});

test("upkeep works in slices, looks again after a minute, goes on after a failure and ends when told", async () => {
  const path = join(folder, "agreement.sqlite");
  writeOldDatabase(path);
  const copy = join(folder, "copy.sqlite");
  copyFileSync(path, copy);
  const database = openDatabase(copy);
  const timers = createManualTimers(start + 1000 * hour);
  const errors: unknown[] = [];
  const end = startUpkeep(database, {
    retention: { maxAgeMs: 996 * hour, maxBytes: null },
    timers,
    onError: (error) => errors.push(error),
  });
  timers.advance(30);
  expect((await createSqliteObservations(database).size()).uncounted).toBe(190);
  timers.advance(1000);
  expect((await createSqliteObservations(database).size()).uncounted).toBe(0);
  const left = count(database, "requests");
  expect(left).toBe(
    oldRecords.filter(({ createdAt }) => createdAt >= timers.now() - 996 * hour - 1000).length,
  );
  database.exec("alter table requests rename to hidden");
  timers.advance(61_000);
  expect(errors).toHaveLength(1);
  database.exec("alter table hidden rename to requests");
  await createSqliteAgreementLog(database).append(createLogRecord({ requestId: "ancient", createdAt: 1 }));
  timers.advance(61_000);
  expect(database.prepare("select 1 from requests where request_id = 'ancient'").get()).toBeUndefined();
  end();
  expect(timers.waiting).toBe(0);
  database.close();
});
