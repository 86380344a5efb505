import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { SHIPPED_SPACE } from "../../adapters/node/open-ensemble.ts";
import { createHome, runConcord, startGateway } from "./running-gateway.ts";

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

const answerSchema = z.object({
  id: z.string(),
  choices: z.array(z.object({ text: z.string() })),
  concord: z.object({
    answered_by: z.string(),
    experiment: z.object({ arm: z.string(), recorded: z.boolean() }),
  }),
});

function tell(url: string, id: string): Promise<Response> {
  return fetch(`${url}/feedback`, {
    method: "POST",
    body: JSON.stringify({ metric_name: "correct", value: true, request_id: id }),
  });
}

describe("serve --experiments", () => {
  it("answers by an ensemble of another map, and after a restart by the same arm for the same user", async () => {
    const file = join(home.home, "experiments.json");
    const experiment = {
      name: "maps",
      arms: [
        { name: "now", model: "concord" },
        { name: "next", model: "concord-b" },
      ],
      assign_by: "user",
      start: true,
    };
    const models = [{ id: "concord-b", map: SHIPPED_SPACE }];
    await writeFile(file, JSON.stringify({ models, experiments: [experiment] }));
    const users = Array.from({ length: 6 }, (_, i) => `user-${i}`);
    const askAll = async (url: string) => {
      const answers = [];
      for (const user of users) {
        const response = await fetch(`${url}/v1/completions`, {
          method: "POST",
          body: JSON.stringify({
            model: "experiment:maps",
            prompt: "The capital of France is",
            max_tokens: 2,
            temperature: 0,
            user,
          }),
        });
        answers.push(answerSchema.parse(await response.json()));
      }
      return answers;
    };
    const first = await startGateway(home.home, { CONCORD_EXPERIMENTS: file });
    const before = await askAll(first.url);
    expect((await tell(first.url, "cmpl-unknown")).status).toBe(404);
    await first.stop();
    const second = await startGateway(home.home, { CONCORD_EXPERIMENTS: file });
    try {
      const after = await askAll(second.url);
      const arms = before.map(({ concord }) => concord.experiment.arm);
      expect(after.map(({ concord }) => concord.experiment.arm)).toEqual(arms);
      expect(new Set(arms)).toEqual(new Set(["now", "next"]));
      expect(new Set(before.map(({ concord }) => concord.answered_by))).toEqual(
        new Set(["concord", "concord-b"]),
      );
      // The other map is the same one here, so that the answers are.
      expect(new Set([...before, ...after].map(({ choices }) => choices[0]?.text)).size).toBe(1);
      // Feedback on answers from before the restart is late and counts.
      for (const { id } of before) expect((await tell(second.url, id)).status).toBe(200);
      const found = await fetch(`${second.url}/v1/experiments/maps/observations`);
      const { data } = z.object({ data: z.array(z.unknown()) }).parse(await found.json());
      expect(data).toHaveLength(users.length);
    } finally {
      await second.stop();
    }
  });
});
