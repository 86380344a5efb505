import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { Command, CommanderError } from "commander";
import { afterEach, beforeEach, expect, test } from "vitest";
import { registerLogCommands } from "../../adapters/node/commands/log.ts";
import { concordPaths } from "../../adapters/node/paths.ts";
import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import { createLogRecord } from "../contracts/log-record.ts";

const now = Date.parse("2026-02-01T12:00:00Z");
const hourMs = 3_600_000;

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "concord-log-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** Runs `concord ARGUMENTS` with its output on a terminal of `columns`, or on a pipe. */
async function concord(args: readonly string[], columns?: number): Promise<string> {
  let output = "";
  const write = (text: string): void => void (output += text);
  const program = new Command("concord")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write });
  registerLogCommands(program, {
    env: { CONCORD_HOME: home },
    clock: { now: () => now, monotonic: () => 0 },
    stdout: columns === undefined ? { write } : { write, isTTY: true, columns },
  });
  await program.parseAsync(["log", ...args], { from: "user" }).catch((error: unknown) => {
    if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
  });
  return output;
}

async function fill(...records: LogRecord[]): Promise<void> {
  const log = createSqliteAgreementLog(openDatabase(concordPaths({ CONCORD_HOME: home }).database));
  for (const record of records) await log.append(record);
  await log.close();
}

const mild = createLogRecord({
  requestId: "chatcmpl-mild",
  createdAt: now - hourMs,
  agreement: { jsDivergence: 0.1, top1Agreement: 0.875 },
});
const strong = createLogRecord({
  requestId: "chatcmpl-strong",
  createdAt: now - 30 * hourMs,
  agreement: { jsDivergence: 0.6, top1Agreement: 0.25 },
});
const alone = createLogRecord({
  requestId: "cmpl-alone",
  createdAt: now - 2 * hourMs,
  model: "gemma-3-270m",
  members: 1,
  agreement: { positions: 0, jsDivergence: null, top1Agreement: null, stateDistance: null },
});

const idsIn = (output: string) => output.match(/(chat)?cmpl-\w+/g) ?? [];

test("the list has a row per request, the most disagreed first", async () => {
  await fill(mild, strong, alone);
  expect(await concord([])).toBe(
    [
      "   JSD  TOP-1  TIME (UTC)        REQUEST          MODEL         TOKENS  LATENCY",
      "0.6000   25 %  2026-01-31 06:00  chatcmpl-strong  concord           64   333 ms",
      "0.1000   88 %  2026-02-01 11:00  chatcmpl-mild    concord           64   333 ms",
      "     –      –  2026-02-01 10:00  cmpl-alone       gemma-3-270m      64   333 ms",
      "",
    ].join("\n"),
  );
});

test.each([
  [["--newest"], ["chatcmpl-mild", "cmpl-alone", "chatcmpl-strong"]],
  [["--limit", "1"], ["chatcmpl-strong"]],
  [["--model", "gemma-3-270m"], ["cmpl-alone"]],
  [
    ["--since", "24h"],
    ["chatcmpl-mild", "cmpl-alone"],
  ],
  [["--since", "90m"], ["chatcmpl-mild"]],
  [
    ["--since", "2026-01-31"],
    ["chatcmpl-strong", "chatcmpl-mild", "cmpl-alone"],
  ],
  [
    ["--since", "2026-01-31T06:01Z"],
    ["chatcmpl-mild", "cmpl-alone"],
  ],
])("log %j lists %j", async (args, ids) => {
  await fill(mild, strong, alone);
  expect(idsIn(await concord(args))).toEqual(ids);
  const records = JSON.parse(await concord([...args, "--json"])) as LogRecord[];
  expect(records.map(({ requestId }) => requestId)).toEqual(ids);
});

test("JSON output is the records as they were written", async () => {
  await fill(mild);
  expect(JSON.parse(await concord(["--json"]))).toEqual([mild]);
  expect(JSON.parse(await concord(["show", "chatcmpl-mild", "--json"]))).toEqual(mild);
  expect(JSON.parse(await concord(["show", "--json", "chatcmpl-mild"]))).toEqual(mild);
});

test.each([40, 60, 80, 120])(
  "the table fits a terminal of %d columns and always has the ids",
  async (columns) => {
    await fill(mild, strong, alone);
    const output = stripVTControlCharacters(await concord([], columns));
    expect(Math.max(...output.split("\n").map((line) => line.length))).toBeLessThanOrEqual(columns);
    expect(idsIn(output)).toHaveLength(3);
  },
);

test("output that goes to a pipe has no escape sequences", async () => {
  await fill(mild);
  expect(await concord([])).not.toContain("\u001B");
  expect(await concord(["show", "chatcmpl-mild"])).not.toContain("\u001B");
});

test("show has the members, the agreement, and text that was kept, without its escape sequences", async () => {
  const text = { prompt: "Why?\u001B[2J", answer: "Because." };
  const [first, second] = createLogRecord().report.members;
  if (!first || !second) throw new Error("expected two members");
  const abstained = { ...second, abstained: { positions: 3, reason: "timed out" } };
  await fill({ ...mild, text, report: { ...mild.report, members: [first, abstained] } });
  const output = await concord(["show", "chatcmpl-mild"]);
  expect(output).toContain("Jensen–Shannon divergence  0.1000 nats");
  expect(output).toMatch(/member-0 +0\.5000 +1\.0472 +33 % +0\.9061 +1429 ms/);
  expect(output).toContain("member-1 abstained at 3 positions: timed out");
  expect(output).toContain("Why?[2J");
  expect(output).toContain("Because.");
});

test("an answer that was not fused has the member that gave it, and why", async () => {
  await fill(createLogRecord({ requestId: "cmpl-left", notFused: "twice the tokens" }));
  expect(await concord([])).toContain("concord → member-1");
  const output = await concord(["show", "cmpl-left"]);
  expect(output).toContain("concord → member-1, chat.completions\nNot fused: twice the tokens\n");
});

test("an answer that went on without a member says which, from where on and why", async () => {
  const record = createLogRecord({ requestId: "cmpl-degraded" });
  const [first, second] = record.report.members;
  if (!first || !second) throw new Error("expected two members");
  const lost = { ...second, lost: { position: 3, reason: "it ended\u001B[2J" } };
  await fill({ ...record, report: { ...record.report, members: [first, lost] } });
  expect(await concord(["show", "cmpl-degraded"])).toContain(
    "Degraded: without member-1 from token 4 of the answer on: it ended[2J\n",
  );
});

test("an unknown request is a failure that says where to look", async () => {
  await fill(mild);
  await expect(concord(["show", "chatcmpl-other"])).rejects.toThrow(
    /the log has no request "chatcmpl-other" \(.*agreement\.sqlite\); concord log --newest lists what it has/,
  );
});

test("without a log the list says so and creates no file", async () => {
  expect(await concord([])).toBe(
    'The log is empty: nothing has been answered yet. Try: concord ask "Why is the sky blue?"\n',
  );
  expect(await concord(["--json"])).toBe("[]\n");
  expect(existsSync(concordPaths({ CONCORD_HOME: home }).database)).toBe(false);
});

test("filters that leave nothing are named", async () => {
  await fill(mild);
  expect(await concord(["--model", "gpt", "--since", "1d"])).toBe(
    'The log has no answer of the model "gpt" since 2026-01-31T12:00:00.000Z.\n',
  );
});

test.each([
  ["--limit", "0"],
  ["--limit", "1001"],
  ["--limit", "ten"],
  ["--limit", ""],
  ["--since", "yesterday"],
  ["--since", "24"],
  ["--since", "2026-02-30"],
  ["--unknown", "1"],
  ["show"],
])("log %s %s is a usage error", async (...args) => {
  const refused = await concord(args).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(CommanderError);
  expect(refused).not.toHaveProperty("exitCode", 0);
});

test("help shows examples and what the numbers mean", async () => {
  const help = await concord(["--help"]);
  expect(help).toContain("concord log --since 24h --limit 5");
  expect(help).toContain("Jensen–Shannon divergence");
  expect(await concord(["show", "--help"])).toContain("concord log show chatcmpl-5f0c --json");
});
