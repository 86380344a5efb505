import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createHome, runConcord } from "./running-gateway.ts";

const CONCORD = fileURLToPath(new URL("../../adapters/node/concord.js", import.meta.url));

let home: Awaited<ReturnType<typeof createHome>>;
let quiz: string;

beforeAll(async () => {
  home = await createHome();
  quiz = join(home.home, "quiz.jsonl");
  const items = [
    ["The capital of France is", 1, [" Berlin", " Paris", " Madrid"]],
    ["The opposite of hot is", 0, [" cold", " purple", " seven"]],
    ["Roses are red, violets are", 2, [" green", " square", " blue"]],
    ["One, two, three, four,", 0, [" five", " banana", " Thursday"]],
    ["", 1, ["Cat the mat on sat the.", "The cat sat on the mat."]],
    ["Question: How do you eat soup?\nAnswer:", 0, [" With a spoon.", " With a hammer."]],
  ] as const;
  const lines = items.map(([context, label, choices], i) =>
    JSON.stringify({ id: `q${i}`, context, choices, label }),
  );
  await writeFile(quiz, `${lines.join("\n")}\n`);
});

afterAll(() => home?.remove());

const evaluatedSchema = z.array(
  z.object({
    name: z.string(),
    report: z.object({
      items: z.int(),
      learnedItems: z.int(),
      rows: z.array(z.object({ name: z.string(), right: z.int(), accuracy: z.number() })),
    }),
  }),
);

const comparedSchema = z.array(
  z.object({
    verdict: z.string(),
    result: z.object({
      first: z.number(),
      second: z.number(),
      interval: z.object({ low: z.number(), high: z.number() }),
    }),
  }),
);

describe("closed choices by the real members", () => {
  it("are chosen right where they are easy, by a run that was killed and went on", async () => {
    const scores = join(home.home, "scores.jsonl");
    const arguments_ = ["evaluate", "choices", quiz, "--resume", scores, "--json"];
    const child = spawn(process.execPath, [CONCORD, ...arguments_], {
      env: { ...process.env, CONCORD_HOME: home.home },
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => {
      child.once("exit", resolve);
    });
    while (child.exitCode === null && (await linesOf(scores)) < 5) await sleep(5);
    child.kill("SIGKILL");
    await ended;

    const { code, stdout, stderr } = await runConcord(home.home, arguments_);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/[2-6] of 6 items were scored before/);
    const [evaluated] = evaluatedSchema.parse(JSON.parse(stdout));
    expect(evaluated).toMatchObject({ name: "quiz", report: { items: 6 } });
    expect(evaluated?.report.rows.map(({ name }) => name)).toEqual([
      "smollm2-135m-instruct",
      "gemma-3-270m",
      "smollm2-135m-instruct through the shared space",
      "gemma-3-270m through the shared space",
      "mean of probabilities",
      "majority vote",
      "best member",
      "oracle: some member is right",
      "concord",
    ]);
    for (const { name, right } of evaluated?.report.rows ?? []) expect(right, name).toBeGreaterThanOrEqual(5);
  });

  it("are decided as was learned from other items, where a file has such", async () => {
    const learning = join(home.home, "learning.jsonl");
    const lines = (await readFile(quiz, "utf8")).trimEnd().split("\n");
    const split = ["report", "fit", "choose"].flatMap((name) =>
      lines.slice(0, 4).map((line, i) => line.replace(`"q${i}"`, `"${name}${i}","split":"${name}"`)),
    );
    await writeFile(learning, `${split.join("\n")}\n`);
    const { code, stdout, stderr } = await runConcord(home.home, ["evaluate", "choices", learning, "--json"]);
    expect(code, stderr).toBe(0);
    const [evaluated] = evaluatedSchema.parse(JSON.parse(stdout));
    expect(evaluated?.report.learnedItems).toBe(8);
    expect(evaluated?.report.rows.slice(-4)).toEqual([
      expect.objectContaining({ name: "smollm2-135m-instruct with a head", right: 4 }),
      expect.objectContaining({ name: "gemma-3-270m with a head", right: 4 }),
      expect.objectContaining({ name: "concord by log-probability alone" }),
      expect.objectContaining({ name: "concord", right: 4 }),
    ]);
  });

  it("compare two ways to no difference where both are right", async () => {
    const { code, stdout, stderr } = await runConcord(home.home, [
      "compare",
      "concord",
      "vote",
      "--on",
      quiz,
      "--json",
    ]);
    expect(code, stderr).toBe(0);
    const [compared] = comparedSchema.parse(JSON.parse(stdout));
    expect(compared?.verdict).toBe("no difference shown");
  });
});

describe("texts by the real members", () => {
  it("compare a member with the better one", async () => {
    const text = join(home.home, "text.txt");
    await writeFile(
      text,
      "The sun rises in the east.\n\nWater boils at a hundred degrees.\n\nDogs like bones.",
    );
    const { code, stdout, stderr } = await runConcord(home.home, [
      "compare",
      "gemma-3-270m",
      "smollm2-135m-instruct",
      "--on",
      text,
      "--json",
    ]);
    expect(code, stderr).toBe(0);
    const [compared] = comparedSchema.parse(JSON.parse(stdout));
    const { first = 0, second = 0, interval } = compared?.result ?? {};
    expect(first).toBeGreaterThan(0.3);
    expect(second).toBeLessThan(3);
    expect(interval?.low).toBeLessThanOrEqual(first - second);
    expect(interval?.high).toBeGreaterThanOrEqual(first - second);
  });

  it("are refused for a vote, and names that nobody has", async () => {
    const { code, stderr } = await runConcord(home.home, ["compare", "concord", "nobody", "--on", quiz]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/expected one of concord, mean, vote, .* got nobody/);
  });
});

async function linesOf(path: string): Promise<number> {
  return existsSync(path) ? (await readFile(path, "utf8")).split("\n").length - 1 : 0;
}
