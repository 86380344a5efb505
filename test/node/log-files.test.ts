import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import {
  array,
  assert as assertProperty,
  constantFrom,
  oneof,
  property,
  record as fields,
  string,
} from "fast-check";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterEach, beforeEach, expect, test } from "vitest";
import { registerLogCommands } from "../../adapters/node/commands/log.ts";
import { CSV_HEADER, csvLine } from "../../adapters/node/export-rows.ts";
import { concordPaths } from "../../adapters/node/paths.ts";
import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { fillLog } from "../../bench/log/fill-log.ts";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import { createLogRecord } from "../contracts/log-record.ts";

const now = Date.parse("2026-02-01T12:00:00Z");
const hourMs = 3_600_000;

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "concord-log-files-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const inHome = (name: string): string => join(home, name);

interface Run {
  readonly output: string;
  /** Commander's exit code for wrong usage, else 0. */
  readonly code: number;
}

/** Runs `concord log ARGUMENTS`. @param signal aborted: as if Ctrl-C was pressed */
async function log(args: readonly string[], signal?: AbortSignal): Promise<Run> {
  let output = "";
  let code = 0;
  const write = (text: string): void => void (output += text);
  const program = new Command("concord")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write });
  registerLogCommands(program, {
    env: { CONCORD_HOME: home },
    clock: { now: () => now, monotonic: () => 0 },
    stdout: { write },
    interruption: signal === undefined ? undefined : () => signal,
  });
  await program.parseAsync(["log", ...args], { from: "user" }).catch((error: unknown) => {
    if (!(error instanceof CommanderError)) throw error;
    code = error.exitCode;
  });
  return { output, code };
}

async function fill(records: readonly LogRecord[]): Promise<void> {
  const database = createSqliteAgreementLog(openDatabase(concordPaths({ CONCORD_HOME: home }).database));
  for (const record of records) await database.append(record);
  await database.close();
}

function fillMany(answers: number): void {
  const path = concordPaths({ CONCORD_HOME: home }).database;
  fillLog(path, { answers, seed: 7, end: now - hourMs, spanMs: 24 * hourMs });
}

/** An hour apart, the oldest first; text, models, losses and what is missing by turns. */
const manyRecords = (count: number): LogRecord[] =>
  Array.from({ length: count }, (_, index) =>
    createLogRecord({
      requestId: `chatcmpl-${index}`,
      createdAt: now - (count - index) * hourMs,
      model: index % 3 === 0 ? "gemma-3-270m" : "concord",
      members: 1 + (index % 2),
      confidence: index % 4 === 0 ? { value: 0.25 + index / 1000, kind: "short_answer" } : null,
      experiment: index % 5 === 0 ? { name: "fusion", arm: "new" } : null,
      firstTokenMs: index % 7 === 0 ? null : 12.5,
      text: index % 6 === 0 ? { prompt: 'He said:\r\n"a, b"', answer: "Ünïcode 🙂\n" } : null,
      agreement: index % 2 === 0 ? { positions: 0, jsDivergence: null, stateDistance: null } : {},
    }),
  );

const linesOf = (text: string): unknown[] =>
  text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);

test("an export has the records as they were written, the oldest first, on the standard output or in a file", async () => {
  const records = manyRecords(30);
  await fill(records.toReversed());
  expect(linesOf((await log(["export"])).output)).toEqual(records);
  expect((await log(["export", inHome("a.jsonl")])).output).toBe(`${inHome("a.jsonl")}: 30 answers\n`);
  expect(linesOf(readFileSync(inHome("a.jsonl"), "utf8"))).toEqual(records);
  expect(readdirSync(home).filter((name) => name.startsWith("a."))).toEqual(["a.jsonl"]);
});

test.each([
  [["--since", "5h"], 5],
  [["--until", "5h"], 25],
  [["--since", "10h", "--until", "2026-02-01T08:00Z"], 6],
  [["--model", "gemma-3-270m"], 10],
  [["--model", "nobody"], 0],
])("export %j has %d answers", async (args, answers) => {
  await fill(manyRecords(30));
  const { output } = await log(["export", inHome("some.jsonl"), "--json", ...args]);
  expect(JSON.parse(output)).toEqual({ file: inHome("some.jsonl"), format: "jsonl", answers });
  expect(linesOf(readFileSync(inHome("some.jsonl"), "utf8"))).toHaveLength(answers);
});

test("a Parquet file has every number of every answer, in columns with types", async () => {
  const records = manyRecords(60);
  await fill(records);
  await log(["export", inHome("all.parquet")]);
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(inHome("all.parquet")) });
  expect(rows).toHaveLength(60);
  expect(
    rows.map((row) => ({
      id: row["request_id"],
      at: (row["created_at"] as Date).getTime(),
      js: row["js_divergence"],
      first: row["first_token_ms"],
      tokens: row["completion_tokens"],
      degraded: row["degraded"],
      confidence: row["confidence"],
      arm: row["arm"],
      members: JSON.parse(row["members"] as string) as unknown,
      prompt: row["prompt"],
      answer: row["answer"],
    })),
  ).toEqual(
    records.map((record) => ({
      id: record.requestId,
      at: record.createdAt,
      js: record.report.agreement.jsDivergence,
      first: record.firstTokenMs,
      tokens: record.completionTokens,
      degraded: false,
      confidence: record.confidence?.value ?? null,
      arm: record.experiment?.arm ?? null,
      members: record.report.members,
      prompt: record.text?.prompt ?? null,
      answer: record.text?.answer ?? null,
    })),
  );
});

test("an empty selection is a whole Parquet file without rows", async () => {
  await fill(manyRecords(3));
  await log(["export", inHome("none.parquet"), "--model", "nobody"]);
  const file = await asyncBufferFromFile(inHome("none.parquet"));
  expect(await parquetReadObjects({ file })).toEqual([]);
});

/** RFC 4180, by its grammar: records end with CRLF, a field with `"`, `,`, CR or LF is quoted, and `""` in it is one `"`. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length) {
    let field = "";
    if (text[at] === '"') {
      for (at++; !(text[at] === '"' && text[at + 1] !== '"'); at++) {
        if (at >= text.length) throw new Error("a quoted field does not end");
        if (text[at] === '"') at++;
        field += text[at];
      }
      at++;
    } else {
      for (; at < text.length && !/[",\r\n]/.test(text[at] ?? ""); at++) field += text[at];
    }
    row.push(field);
    if (text[at] === ",") at++;
    else if (text.startsWith("\r\n", at)) {
      at += 2;
      rows.push(row);
      row = [];
    } else throw new Error(`expected a comma or the end of a record at ${at}`);
  }
  if (row.length > 0) throw new Error("the last record does not end");
  return rows;
}

test("whatever text there is, a CSV reader by RFC 4180 gets it back", () => {
  const text = string({
    unit: oneof(
      constantFrom('"', ",", "\r", "\n", " ", ";"),
      string({ unit: "binary", minLength: 1, maxLength: 1 }),
    ),
  });
  assertProperty(
    property(array(fields({ prompt: text, answer: text, id: text }), { maxLength: 5 }), (answers) => {
      const records = answers.map(({ prompt, answer, id }) =>
        createLogRecord({ requestId: id, text: { prompt, answer } }),
      );
      const [names = [], ...rows] = readCsv(CSV_HEADER + records.map(csvLine).join(""));
      const column = (name: string) => rows.map((row) => row[names.indexOf(name)]);
      expect(rows.every((row) => row.length === names.length)).toBe(true);
      expect(column("prompt")).toEqual(answers.map(({ prompt }) => prompt));
      expect(column("answer")).toEqual(answers.map(({ answer }) => answer));
      expect(column("request_id")).toEqual(answers.map(({ id }) => id));
      expect(column("members").map((members) => JSON.parse(members ?? "") as unknown)).toEqual(
        records.map(({ report }) => report.members),
      );
      expect(column("latency_ms").map(Number)).toEqual(records.map(({ latencyMs }) => latencyMs));
    }),
  );
});

test("an interrupted export has no file of its name, refuses to begin anew, and goes on to the same bytes", async () => {
  fillMany(1300);
  await log(["export", inHome("whole.csv")]);
  const controller = new AbortController();
  const interrupted = new Error("interrupted by SIGINT");
  controller.abort(interrupted);
  await expect(log(["export", inHome("part.csv")], controller.signal)).rejects.toThrow(interrupted);
  expect(existsSync(inHome("part.csv"))).toBe(false);
  expect(statSync(inHome("part.csv.part")).size).toBeLessThan(statSync(inHome("whole.csv")).size);
  await expect(log(["export", inHome("part.csv")])).rejects.toThrow("can go on with --resume");
  await expect(log(["export", inHome("part.csv"), "--resume", "--since", "7d"])).rejects.toThrow(
    "expected to go on with the same export (csv of all), got another (csv of --since 7d)",
  );
  // As a kill leaves it: more was written than was noted.
  writeFileSync(inHome("part.csv.part"), "half a rec", { flag: "a" });
  // What came later is not of this export.
  await fill([createLogRecord({ requestId: "later", createdAt: now + hourMs })]);
  const { output } = await log(["export", inHome("part.csv"), "--resume"]);
  expect(output).toContain("1,300 answers");
  expect(readFileSync(inHome("part.csv"))).toEqual(readFileSync(inHome("whole.csv")));
  expect(readdirSync(home).filter((name) => name.startsWith("part"))).toEqual(["part.csv"]);
});

test(
  "a process killed at any moment of an export leaves what goes on to the same file",
  { timeout: 120_000 },
  async () => {
    fillMany(20_000);
    const arguments_ = [
      "--import",
      "tsx",
      fileURLToPath(new URL("export-slowly.ts", import.meta.url)),
      inHome("k.jsonl"),
    ];
    const database = concordPaths({ CONCORD_HOME: home }).database;
    for (const wait of [0, 40, 150]) {
      const child = spawn(process.execPath, [...arguments_, database], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(child.stdout, "data");
      await new Promise((resolve) => setTimeout(resolve, wait));
      child.kill("SIGKILL");
      await once(child, "exit");
      expect(existsSync(inHome("k.jsonl"))).toBe(false);
    }
    expect(existsSync(inHome("k.jsonl.progress"))).toBe(true);
    await log(["export", inHome("k.jsonl"), "--resume"]);
    await log(["export", inHome("fresh.jsonl")]);
    expect(readFileSync(inHome("k.jsonl")).equals(readFileSync(inHome("fresh.jsonl")))).toBe(true);
  },
);

test.each([
  [["export", "--format", "parquet"], "parquet needs a file"],
  [["export", "--resume"], "--resume needs the file"],
  [["export", "--json"], "--json needs a file"],
  [["export", "x.parquet", "--resume"], "--resume goes on with jsonl and csv alone"],
  [["export", "--since", "1h", "--until", "2h"], "--since must be before --until"],
  [["export", "--format", "xml"], "Allowed choices are jsonl, csv, parquet"],
  [["export", "--since", "yesterday"], "Expected a time ago"],
  [["prune"], "expected either --before or --older-than"],
  [["prune", "--before", "1h", "--older-than", "1h"], "expected either --before or --older-than"],
  [["prune", "--before", "2027-01-01"], "--before must be in the past"],
  [["prune", "--older-than", "0d"], "Expected a time span"],
])("log %j is refused as wrong usage: %s", async (args, message) => {
  await fill(manyRecords(1));
  const { output, code } = await log(args);
  expect(output).toContain(message);
  expect(code).toBe(1);
});

test.each([["export"], ["backup", "x.sqlite"], ["prune", "--older-than", "1d"], ["stats"]])(
  "log %s without a log fails, and makes none",
  async (...args) => {
    await expect(log(args)).rejects.toThrow("there is no log yet");
    expect(readdirSync(home)).toEqual([]);
  },
);

test("a file that is there is not written over", async () => {
  await fill(manyRecords(2));
  writeFileSync(inHome("taken"), "mine");
  await expect(log(["export", inHome("taken")])).rejects.toThrow("is there already");
  await expect(log(["export", inHome("taken"), "--format", "parquet"])).rejects.toThrow("is there already");
  await expect(log(["backup", inHome("taken")])).rejects.toThrow("is there already");
  expect(readFileSync(inHome("taken"), "utf8")).toBe("mine");
});

test("prune tells before it deletes, and deletes what it told", async () => {
  await fill(manyRecords(150));
  const dry = await log(["prune", "--older-than", "100h", "--dry-run", "--json"]);
  expect(JSON.parse(dry.output)).toMatchObject({
    before: new Date(now - 100 * hourMs).toISOString(),
    dryRun: true,
    answers: 50,
  });
  expect(JSON.parse((await log(["stats", "--json"])).output)).toMatchObject({ answers: 150 });
  const done = await log(["prune", "--before", new Date(now - 100 * hourMs).toISOString(), "--json"]);
  expect(JSON.parse(done.output)).toMatchObject({ dryRun: false, answers: 50 });
  const stats = JSON.parse((await log(["stats", "--json"])).output) as object;
  expect(stats).toMatchObject({ answers: 100, oldest: now - 100 * hourMs, newest: now - hourMs });
});

test("stats count answers, texts and rollups, and share out the bytes that are used", async () => {
  await fill(manyRecords(48));
  const { path, ...stats } = JSON.parse((await log(["stats", "--json"])).output) as Record<string, number>;
  expect(path).toBe(concordPaths({ CONCORD_HOME: home }).database);
  expect(stats).toMatchObject({ answers: 48, texts: 8, alerts: 0, feedback: 0, uncounted: 0 });
  // Two members asked by two names, in experiments and outside: more rows than buckets.
  expect(stats["rollups"]).toMatchObject({ minutes: 48, hours: 48 });
  expect(stats["bytesPerAnswer"]).toBe(((stats["bytes"] ?? 0) - (stats["freeBytes"] ?? 0)) / 48);
  const { output } = await log(["stats"]);
  expect(output).toContain("answers          48\n");
});
