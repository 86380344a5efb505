import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SuiteResult } from "../../bench/harness/suite.ts";

const RUN = fileURLToPath(new URL("../../bench/run.js", import.meta.url));

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "concord-bench-test-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, [RUN, ...args], {
    env: { ...process.env, CONCORD_HOME: home, TMPDIR: home, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }));
  return { child, ended, said: () => stderr };
}

test("the gateway suite measures our gateway and the rig, with JSON on the standard output", async () => {
  const { ended } = start("gateway", "--quick", "--no-peers", "--json");
  const { code, stdout, stderr } = await ended;
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout) as { quick: boolean; suites: Record<string, SuiteResult> };
  expect(report.quick).toBe(true);
  const [row] = report.suites["gateway"]?.rows ?? [];
  expect(row?.samples.map(({ contender }) => contender)).toStrictEqual([
    "concord",
    "concord, not logged",
    "no gateway",
  ]);
  for (const { values } of row?.samples ?? []) expect(values[0]).toBeGreaterThan(0);
  expect(stderr).toContain("### gateway");
});

test("a suite that there is not is refused with the names of those that there are", async () => {
  const { code, stderr } = await start("nonsense").ended;
  expect(code).toBe(2);
  expect(stderr).toMatch(/no suite nonsense: expected some of .*engine.*gateway/);
});

test.runIf(process.platform === "linux")(
  "Ctrl-C ends every process and removes the run's folder",
  async () => {
    const { child, ended, said } = start("gateway", "--quick", "--no-peers", "--rounds", "100");
    while (!said().includes("10 connections")) await once(child.stderr, "data");
    const children = execFileSync("ps", ["--ppid", String(child.pid), "-o", "pid="], { encoding: "utf8" })
      .split("\n")
      .map(Number)
      .filter((pid) => pid > 0);
    expect(children.length).toBeGreaterThan(2);
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    expect(stderr).toMatch(/interrupted\n$/);
    expect(code).toBe(130);
    await expect.poll(() => children.filter(lives), { timeout: 5_000 }).toStrictEqual([]);
    expect((await readdir(home)).filter((name) => name.startsWith("concord-bench-"))).toStrictEqual([]);
  },
);

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
