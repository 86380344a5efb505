import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { SHIPPED_SPACE } from "../../adapters/node/open-ensemble.ts";
import { readSpace } from "../../adapters/node/space-file.ts";
import { createHome, runConcord } from "./running-gateway.ts";

const MEMBERS = ["smollm2-135m-instruct", "gemma-3-270m"];
const ask = (content: string) => ({ role: "user", content });
const say = (content: string) => ({ role: "assistant", content });
const LINES = [
  {
    messages: [ask("What is the capital of France?"), say("The capital of France is Paris.")],
    domain: "chat",
  },
  {
    messages: [ask("Name a fruit."), say("Apple."), ask("And another one?"), say("Pear — or a café's plum.")],
    domain: "chat",
  },
  { text: "export function add(a: number, b: number): number {\n  return a + b;\n}", domain: "code" },
];

const reportSchema = z.array(
  z.object({
    domain: z.string(),
    documents: z.int(),
    bytes: z.int(),
    scores: z.array(z.object({ name: z.string(), tokens: z.int(), bitsPerByte: z.number() })),
    comparison: z.object({ against: z.string(), difference: z.number(), interval: z.null() }),
  }),
);

let home: Awaited<ReturnType<typeof createHome>>;
let file: string;

beforeAll(async () => {
  home = await createHome();
  file = join(home.home, "documents.jsonl");
  await writeFile(file, LINES.map((line) => JSON.stringify(line)).join("\n"));
});

afterAll(() => home?.remove());

describe("`concord evaluate text` with both members", () => {
  it("scores chats and code by domain, of a chat the answers", async () => {
    const run = await runConcord(home.home, ["evaluate", "text", file, "--json"]);
    const { routes } = (await readSpace(SHIPPED_SPACE)).record;
    const [chat, code, ...others] = reportSchema.parse(JSON.parse(run.stdout));
    expect(others).toEqual([]);
    const answers = ["The capital of France is Paris.", "Apple.", "Pear — or a café's plum."];
    expect(chat).toMatchObject({
      domain: "chat",
      documents: 2,
      bytes: new TextEncoder().encode(answers.join("")).length,
    });
    expect(code).toMatchObject({ domain: "code", documents: 1, bytes: LINES[2]?.text?.length });
    for (const report of [chat, code]) {
      expect(report?.scores.map(({ name }) => name)).toEqual([
        ...MEMBERS,
        ...MEMBERS.map((id) => `${id} through the shared space`),
        "mean of probabilities",
        "log-linear pool, constant weights",
        ...(routes.length > 0 ? ["concord, always fused"] : []),
        "concord",
        "oracle: the best member of each document",
      ]);
      for (const { bitsPerByte } of report?.scores ?? []) expect(bitsPerByte).toBeLessThan(4);
      expect(MEMBERS).toContain(report?.comparison.against);
    }
    // The question tells the answer: without it these tokens are far less likely.
    expect(chat?.scores.find(({ name }) => name === MEMBERS[0])?.bitsPerByte).toBeLessThan(1.5);
  });

  it("goes on where a killed run was", async () => {
    const name = (await readdir(join(home.home, "scores"))).find((entry) => entry.startsWith("text-"));
    const kept = join(home.home, "scores", name ?? "");
    const lines = (await readFile(kept, "utf8")).split("\n");
    expect(lines).toHaveLength(LINES.length + 1);
    // As a kill would leave it: one line whole, one torn. A number that scoring does not give tells that it was kept.
    const marked = (lines[0] ?? "").replace('"bytes":31', '"bytes":1031');
    await writeFile(kept, `${marked}\n${(lines[1] ?? "").slice(0, 40)}`);
    const resumed = await runConcord(home.home, ["evaluate", "text", file, "--json"]);
    const [chat, code] = reportSchema.parse(JSON.parse(resumed.stdout));
    expect(chat?.bytes).toBe(1031 + new TextEncoder().encode("Apple.Pear — or a café's plum.").length);
    expect(code?.bytes).toBe(LINES[2]?.text?.length);
    expect((await readFile(kept, "utf8")).split("\n").toSorted()).toEqual(
      [marked, ...lines.slice(1)].toSorted(),
    );
  });

  it("refuses a file with a line that is no document, and splits of too few", async () => {
    const bad = join(home.home, "bad.jsonl");
    await writeFile(bad, '{"text":"Fine.","domain":"prose"}\n{"text":"No domain."}\n');
    const refused = await runConcord(home.home, ["evaluate", "text", bad]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`${bad}:2: domain`);
    const few = await runConcord(home.home, ["evaluate", "text", file, "--split", "report"]);
    expect(few.code).toBe(1);
    expect(few.stderr).toContain(
      "expected at least 10 documents of different sources in a domain, got 2 in chat",
    );
  });
});
