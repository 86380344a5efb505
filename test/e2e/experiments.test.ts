import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createHome, runConcord } from "./running-gateway.ts";

let home: Awaited<ReturnType<typeof createHome>>;
let quiz: string;

beforeAll(async () => {
  home = await createHome();
  quiz = join(home.home, "quiz.jsonl");
  const items = [
    ["The capital of France is", 1, [" Berlin", " Paris"]],
    ["The opposite of hot is", 0, [" cold", " purple"]],
    ["Roses are red, violets are", 1, [" square", " blue"]],
    ["One, two, three, four,", 0, [" five", " banana"]],
  ] as const;
  const lines = items.map(([context, label, choices], i) =>
    JSON.stringify({ id: `q${i}`, context, choices, label }),
  );
  await writeFile(quiz, `${lines.join("\n")}\n`);
});
afterAll(() => home?.remove());

const summarySchema = z.object({
  experiment: z.string(),
  results: z.array(z.object({ split: z.string(), items: z.int(), first: z.number(), second: z.number() })),
});

describe("concord experiment run", () => {
  it("asks both models every question over HTTP, and asks nothing twice", async () => {
    const args = ["experiment", "run", "--on", quiz, "--json", "--arms", "concord", "smollm2-135m-instruct"];
    const first = await runConcord(home.home, args);
    expect(first.code, first.stderr).toBe(0);
    const summary = summarySchema.parse(JSON.parse(first.stdout));
    expect(summary.results).toMatchObject([{ split: "report", items: 4 }]);
    expect(summary.results[0]?.first).toBeGreaterThanOrEqual(0.75);
    const again = await runConcord(home.home, args);
    expect(again.code, again.stderr).toBe(0);
    expect(summarySchema.parse(JSON.parse(again.stdout))).toEqual(summary);
    const logged = await runConcord(home.home, ["log", "--newest", "--limit", "100", "--json"]);
    expect(JSON.parse(logged.stdout)).toHaveLength(8);
  });

  it("calibrates nothing from a log that has too little feedback, and says so", async () => {
    const out = join(home.home, "calibration.safetensors");
    const calibrated = await runConcord(home.home, ["calibrate", "--from-log", "--out", out]);
    expect(calibrated.code, calibrated.stderr).toBe(0);
    expect(calibrated.stdout).toContain("Nothing is written");
  });
});
