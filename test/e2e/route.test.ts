import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { SHIPPED_SPACE } from "../../adapters/node/open-ensemble.ts";
import { readSpace, writeSpace } from "../../adapters/node/space-file.ts";
import { createHome, runConcord, startGateway, type RunningGateway } from "./running-gateway.ts";

const GEMMA = "gemma-3-270m";
const GERMAN =
  "Die Zugspitze ist mit 2962 Metern der höchste Berg Deutschlands. Sie liegt südwestlich von Garmisch-Partenkirchen " +
  "im Wettersteingebirge, und über ihren Gipfel verläuft die Grenze zu Österreich.";

const reportSchema = z.object({
  request_id: z.string(),
  answered_by: z.string(),
  not_fused: z.string().optional(),
  agreement: z.object({ positions: z.int(), js_divergence: z.number().nullable() }),
  members: z.array(z.object({ id: z.string(), weight: z.number() })),
});

let home: Awaited<ReturnType<typeof createHome>>;
let gateway: RunningGateway;
let client: OpenAI;

/** The shipped map, with one route. */
beforeAll(async () => {
  home = await createHome();
  const { space, record } = await readSpace(SHIPPED_SPACE);
  const routes = [{ member: GEMMA, ratio: 1.25, share: 0.5 }];
  await writeSpace(join(home.home, "maps", "space.safetensors"), space, { ...record, routes });
  gateway = await startGateway(home.home);
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
});

afterAll(async () => {
  await gateway?.stop();
  await home?.remove();
});

async function echo(model: string, prompt: string) {
  const answer = await client.completions.create({
    model,
    prompt,
    echo: true,
    logprobs: 1,
    max_tokens: 4,
    temperature: 0,
  });
  return { ...answer, report: reportSchema.parse("concord" in answer ? answer.concord : null) };
}

describe("the gateway with a route to Gemma", () => {
  it("leaves German text to Gemma, as if Gemma were asked, and says so in the answer and in the log", async () => {
    const [routed, alone] = [await echo("concord", GERMAN), await echo(GEMMA, GERMAN)];
    expect(routed.choices).toEqual(alone.choices);
    expect(routed.usage).toEqual(alone.usage);
    expect(routed.report).toMatchObject({
      answered_by: GEMMA,
      not_fused: expect.stringMatching(
        /^smollm2-135m-instruct needs 1\.\d\d times the tokens that gemma-3-270m/,
      ),
      agreement: { positions: 0, js_divergence: null },
      members: [{ id: GEMMA, weight: 1 }],
    });
    expect(alone.report).not.toHaveProperty("not_fused");
    const logged = await runConcord(home.home, ["log", "show", routed.report.request_id]);
    expect(logged.stdout).toContain(
      `concord → ${GEMMA}, completions\nNot fused: ${routed.report.not_fused}\n`,
    );
  });

  it("fuses English text, and a German chat", async () => {
    expect((await echo("concord", "The Zugspitze is the highest mountain in Germany.")).report).toMatchObject(
      {
        answered_by: "concord",
        members: [{ id: "smollm2-135m-instruct" }, { id: GEMMA }],
      },
    );
    const chat = await client.chat.completions.create({
      model: "concord",
      messages: [{ role: "user", content: GERMAN }],
      max_tokens: 4,
    });
    expect("concord" in chat && chat.concord).toMatchObject({ answered_by: "concord" });
  });

  it("`concord evaluate text` tells what the German text costs so, with one bit for the decision", async () => {
    const file = join(home.home, "zugspitze.txt");
    await writeFile(file, GERMAN);
    const evaluated = await runConcord(home.home, ["evaluate", "text", file, "--json"]);
    const row = z.object({ name: z.string(), vocabulary: z.string(), nats: z.number() });
    const [{ scores }] = z.tuple([z.object({ scores: z.array(row) })]).parse(JSON.parse(evaluated.stdout));
    const rowOf = (name: string) => scores.find((score) => score.name === name);
    const { choices, usage } = await echo("concord", GERMAN);
    const logprobs = choices[0]?.logprobs?.token_logprobs?.slice(0, usage?.prompt_tokens) ?? [];
    const echoed = -logprobs.reduce<number>((sum, logprob) => sum + (logprob ?? NaN), 0);
    expect(rowOf("concord")?.vocabulary).toBe(GEMMA);
    expect(rowOf("concord")?.nats).toBeCloseTo(echoed + Math.LN2, 2);
    expect(rowOf("concord, always fused")?.nats).toBeGreaterThan(rowOf("concord")?.nats ?? Infinity);
  });
});
