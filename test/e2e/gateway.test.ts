import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { SHIPPED_SPACE } from "../../adapters/node/open-ensemble.ts";
import { readSpace } from "../../adapters/node/space-file.ts";
import { decisionNats } from "../../src/ensemble/route.ts";
import { createHome, runConcord, startGateway, type RunningGateway } from "./running-gateway.ts";

const MEMBERS = ["smollm2-135m-instruct", "gemma-3-270m"];
const PASSAGE =
  "The river rises in the hills above the town and flows north for sixty miles — past mills, weirs and water " +
  "meadows — before it meets the sea. In 1842 a canal was cut beside it; by 1900 the railway had made the canal " +
  "useless. Anglers come for trout (Salmo trutta) in spring, and for grayling when the leaves have fallen.";

const reportSchema = z.object({
  request_id: z.string(),
  agreement: z.object({
    positions: z.int(),
    js_divergence: z.number().nullable(),
    top1_agreement: z.number().nullable(),
    state_distance: z.number().nullable(),
  }),
  members: z.array(
    z.object({
      id: z.string(),
      weight: z.number(),
      bits_per_byte: z.number().nullable(),
      top1_agreement: z.number().nullable(),
      abstained: z.object({ positions: z.int(), reason: z.string() }).optional(),
    }),
  ),
});

const choiceAnswerSchema = z.object({
  choices: z.array(z.object({ text: z.string() })),
  concord: z.object({
    confidence: z.number(),
    confidence_kind: z.string(),
    calibrated_on: z.object({ set: z.string(), items: z.int(), likeness: z.number() }),
    choices: z.array(z.object({ text: z.string(), probability: z.number() })),
    prediction_set: z.array(z.string()),
    abstain: z.boolean(),
  }),
});

let home: Awaited<ReturnType<typeof createHome>>;
let gateway: RunningGateway;
let client: OpenAI;

beforeAll(async () => {
  home = await createHome();
  gateway = await startGateway(home.home);
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
});

afterAll(async () => {
  await gateway?.stop();
  await home?.remove();
});

/** Scores a text by echo: the prompt's log-probabilities, with the one answer token left out. */
async function echo(model: string, prompt: string | number[]) {
  const { choices, usage } = await client.completions.create({
    model,
    prompt,
    echo: true,
    logprobs: 1,
    max_tokens: 1,
    temperature: 0,
  });
  const logprobs = choices[0]?.logprobs;
  const count = usage?.prompt_tokens ?? 0;
  return {
    logprobs: (logprobs?.token_logprobs ?? []).slice(0, count),
    offsets: (logprobs?.text_offset ?? []).slice(0, count),
    tokens: (logprobs?.tokens ?? []).slice(0, count),
  };
}

/** How the ensemble goes on with this seed. */
async function tell(seed: number): Promise<string | undefined> {
  const { choices } = await client.completions.create({
    model: "concord",
    prompt: "Once upon a time",
    max_tokens: 12,
    temperature: 1,
    seed,
  });
  return choices[0]?.text;
}

describe("the gateway with both members", () => {
  it("streams one answer that both members gave, and has logged it by then", async () => {
    const stream = await client.chat.completions.create({
      model: "concord",
      messages: [{ role: "user", content: "What is the capital of France?" }],
      stream: true,
      max_tokens: 24,
      temperature: 0,
    });
    let text = "";
    let report: z.infer<typeof reportSchema> | null = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      if ("concord" in chunk) report = reportSchema.parse(chunk.concord);
    }
    expect(text).toContain("Paris");
    expect(report?.members.map((member) => member.id)).toEqual(MEMBERS);
    expect(report?.members.every((member) => member.weight > 0.1)).toBe(true);
    expect(report?.agreement.positions).toBeGreaterThan(3);

    const log = await runConcord(home.home, ["log", "show", report?.request_id ?? "", "--json"]);
    const logged = z
      .object({ report: z.object({ agreement: z.object({ jsDivergence: z.number() }) }) })
      .parse(JSON.parse(log.stdout));
    expect(logged.report.agreement.jsDivergence).toBeCloseTo(report?.agreement.js_divergence ?? NaN, 10);
  });

  it("scores a prompt by echo, to the bits per byte that `concord evaluate text` prints; the ensemble beats its anchor", async () => {
    const file = join(home.home, "passage.txt");
    await writeFile(file, PASSAGE);
    const evaluated = await runConcord(home.home, ["evaluate", "text", file, "--json"]);
    expect(evaluated.stderr).not.toContain("error");
    const [{ scores }] = z
      .tuple([
        z.object({ scores: z.array(z.object({ name: z.string(), bitsPerByte: z.number().nullable() })) }),
      ])
      .parse(JSON.parse(evaluated.stdout));
    const bytes = new TextEncoder().encode(PASSAGE).length;
    const echoed = new Map<string, number>();
    // Bits for saying whether the ensemble leaves the text to a member.
    const decision = decisionNats((await readSpace(SHIPPED_SPACE)).record.routes, null) / Math.LN2;
    for (const model of ["concord", ...MEMBERS]) {
      const { logprobs, offsets, tokens } = await echo(model, PASSAGE);
      expect(tokens.join("").replace(/bytes:(\\x[0-9a-f]{2})+/g, "—")).toBe(PASSAGE);
      expect(offsets[0]).toBe(0);
      const nats = -logprobs.reduce<number>((sum, logprob) => sum + (logprob ?? NaN), 0);
      echoed.set(model, nats / bytes / Math.LN2);
      const printed = scores.find((score) => score.name === model)?.bitsPerByte ?? NaN;
      expect(echoed.get(model)).toBeCloseTo(printed - (model === "concord" ? decision / bytes : 0), 4);
    }
    expect(echoed.get("concord")).toBeLessThan(echoed.get("smollm2-135m-instruct") ?? 0);
  });

  it("token ids in a prompt to concord are the anchor's", async () => {
    const byText = await echo("concord", "The capital of France is");
    const byIds = await echo("concord", [504, 3575, 282, 4649, 314]);
    expect(byIds.tokens).toEqual(byText.tokens);
    expect(byIds.logprobs).toEqual(byText.logprobs);
  });

  it("the same seed gives the same answer, another seed another", async () => {
    const first = await tell(5);
    expect(await tell(5)).toBe(first);
    expect(await tell(6)).not.toBe(first);
  });

  it("each member answers alone under its own name", async () => {
    for (const model of MEMBERS) {
      const answer = await client.completions.create({
        model,
        prompt: "One, two, three,",
        max_tokens: 4,
        temperature: 0,
      });
      expect(answer.choices[0]?.text).toContain("four");
      const report = reportSchema.parse("concord" in answer ? answer.concord : null);
      expect(report.members.map(({ id, weight }) => ({ id, weight }))).toEqual([{ id: model, weight: 1 }]);
    }
  });

  it("`concord ask` answers in the terminal, and `concord log` has the answer", async () => {
    const asked = await runConcord(home.home, [
      "ask",
      "What is the capital of France?",
      "--max-tokens",
      "16",
    ]);
    expect(asked.code).toBe(0);
    expect(asked.stdout).toContain("Paris");
    expect(asked.stdout).toMatch(/members agree on the first choice at \d+ % of \d+ tokens/);
    const id = /request (ask-\S+)/.exec(asked.stdout)?.[1] ?? "none";
    const listed = await runConcord(home.home, ["log", "--newest", "--json", "--limit", "1"]);
    expect(JSON.parse(listed.stdout)).toMatchObject([{ requestId: id, endpoint: "ask", model: "concord" }]);
    expect((await runConcord(home.home, ["ask"])).code).toBe(2);
    expect((await runConcord(home.home, ["ask", "Hi", "--temperature", "hot"])).code).toBe(2);
    const unknown = await runConcord(home.home, ["ask", "Hi", "--model", "gpt"]);
    expect(unknown).toMatchObject({ code: 1 });
    expect(unknown.stderr).toContain(
      "the model 'gpt' does not exist; there are: concord, smollm2-135m-instruct",
    );
  });

  it("refuses what it cannot do, naming the field, and goes on", async () => {
    const post = async (body: string): Promise<{ status: number; param: unknown }> => {
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      const { error } = z
        .object({ error: z.object({ message: z.string().min(10), param: z.unknown() }) })
        .parse(await response.json());
      return { status: response.status, param: error.param };
    };
    const messages = [{ role: "user", content: "Hello" }];
    const long = [{ role: "user", content: "many words ".repeat(9000) }];
    expect(await post("{")).toEqual({ status: 400, param: null });
    expect(await post(JSON.stringify({ model: "gpt-5", messages }))).toEqual({ status: 404, param: "model" });
    expect(await post(JSON.stringify({ model: "concord", messages: [] }))).toEqual({
      status: 400,
      param: "messages",
    });
    expect(await post(JSON.stringify({ model: "concord", messages: long }))).toEqual({
      status: 400,
      param: "messages",
    });
    expect(await post(JSON.stringify({ model: "concord", messages, temperature: "hot" }))).toEqual({
      status: 400,
      param: "temperature",
    });
    expect(await post(JSON.stringify({ model: "concord", messages, max_tokens: -1 }))).toEqual({
      status: 400,
      param: "max_tokens",
    });
    expect(await post(JSON.stringify({ model: "concord", messages, logit_bias: { 49152: 1 } }))).toEqual({
      status: 400,
      param: "logit_bias",
    });
    expect((await post(`"${"x".repeat(20_000_000)}"`)).status).toBe(413);
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
  });

  it("reads and scores text with characters that no member has a token for", async () => {
    const { logprobs, tokens } = await echo("concord", "Κόσμε 👩‍👩‍👧 ˚₊‧");
    expect(tokens.length).toBeGreaterThan(10);
    expect(logprobs.every((logprob) => logprob !== null && Number.isFinite(logprob))).toBe(true);
  });

  it("answers with one of the choices, a calibrated probability and a prediction set", async () => {
    const body = {
      model: "concord",
      prompt: "Vinson Massif is located in the continent of",
      structured_outputs: { choice: ["Europe", "Antarctica", "Asia", "Africa"] },
      concord: { coverage: 0.9, min_confidence: 0.5 },
    };
    const response = await fetch(`${gateway.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const { choices, concord } = choiceAnswerSchema.parse(await response.json());
    expect(choices[0]?.text).toBe("Antarctica");
    expect(concord.confidence_kind).toBe("choice");
    expect(concord.calibrated_on.set).toBe("known-facts");
    const probabilities = concord.choices.map(({ probability }) => probability);
    expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 9);
    expect(concord.confidence).toBe(Math.max(...probabilities));
    expect(concord.prediction_set).toContain("Antarctica");
    expect(concord.abstain).toBe(false);
  });

  it("tells how likely a short free answer is right, where it was calibrated on such", async () => {
    const ask = { model: "concord", prompt: "Vinson Massif is located in the continent of" };
    const known = await client.completions.create({ ...ask, temperature: 0 });
    expect(known).toMatchObject({
      concord: {
        confidence: expect.any(Number),
        confidence_kind: "short_answer",
        calibrated_on: { set: "known-facts, answered freely" },
      },
    });
    const drawn = await client.completions.create({ ...ask, temperature: 1 });
    expect(drawn).toMatchObject({
      concord: { confidence: null, confidence_reason: expect.stringContaining("temperature 0") },
    });
  });

  it("keeps a schema's enum in its JSON, and makes up no confidence for questions of no known kind", async () => {
    const response = await client.chat.completions.create({
      model: "concord",
      messages: [{ role: "user", content: "x".repeat(300) }],
      response_format: {
        type: "json_schema",
        json_schema: {
          name: "side",
          schema: {
            type: "object",
            properties: { side: { type: "string", enum: ["left", "right"] } },
            required: ["side"],
            additionalProperties: false,
          },
        },
      },
    });
    const answer = JSON.parse(response.choices[0]?.message.content ?? "") as { side: string };
    expect(["left", "right"]).toContain(answer.side);
    expect(response).toMatchObject({ concord: { confidence: null, confidence_reason: expect.any(String) } });
  });
});
