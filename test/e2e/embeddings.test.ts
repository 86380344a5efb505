import OpenAI, { BadRequestError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHome, startGateway, type RunningGateway } from "./running-gateway.ts";

const ENCODERS = ["all-minilm-l6-v2", "bge-small-en-v1.5", "e5-small-v2"];
const MEMBERS = ["smollm2-135m-instruct", "gemma-3-270m", ...ENCODERS];
/** Two ways to say each of three things. */
const TEXTS = [
  "A man is playing the guitar.",
  "Somebody plays a guitar.",
  "The river flooded the town after days of rain.",
  "After heavy rain the river burst its banks and the town was under water.",
  "How do I reset my password?",
  "I have forgotten my password and need a new one.",
];

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

async function embed(model: string, options: { readonly dimensions?: number } = {}): Promise<number[][]> {
  const { data } = await client.embeddings.create({ model, input: TEXTS, ...options });
  return data.toSorted((a, b) => a.index - b.index).map(({ embedding }) => embedding);
}

async function postJson(path: string, body: object): Promise<object> {
  const response = await fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await response.json()) as object;
}

const cosine = (a: readonly number[] = [], b: readonly number[] = []): number =>
  a.reduce((sum, x, j) => sum + x * (b[j] ?? Number.NaN), 0);

/** Whether each text of A is nearest, among the texts of B, to one of its own pair. */
function pairsFound(a: readonly number[][], b: readonly number[][], sameIsAllowed: boolean): number {
  return a.filter((row, i) => {
    const scores = b.map((other, j) => (i === j && !sameIsAllowed ? -Infinity : cosine(row, other)));
    const best = scores.indexOf(Math.max(...scores));
    return Math.floor(best / 2) === Math.floor(i / 2);
  }).length;
}

describe("embeddings over the real models, through OpenAI's client", () => {
  test("every model is listed, and all of length 1", async () => {
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toEqual(["concord", ...MEMBERS, ...MEMBERS.map((id) => `shared:${id}`)]);
    for (const id of ids) {
      for (const vector of await embed(id)) expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
    }
  });

  test("texts that mean the same are nearest, fused, under each encoder and cut short", async () => {
    for (const id of ["concord", ...ENCODERS]) {
      const vectors = await embed(id);
      expect(pairsFound(vectors, vectors, false)).toBe(TEXTS.length);
    }
    const short = await embed("concord", { dimensions: 256 });
    expect(short[0]).toHaveLength(256);
    expect(pairsFound(short, short, false)).toBe(TEXTS.length);
  });

  test("shared vectors of one member find their texts among another's", async () => {
    const causal = await embed("shared:gemma-3-270m");
    for (const id of ["shared:smollm2-135m-instruct", "shared:bge-small-en-v1.5"]) {
      expect(pairsFound(causal, await embed(id), true)).toBeGreaterThanOrEqual(TEXTS.length - 1);
    }
  });

  test("numbers are the same in base64, which the client asks for by itself, and as floats", async () => {
    const [packed] = await embed("e5-small-v2");
    const { data, usage } = await client.embeddings.create({
      model: "e5-small-v2",
      input: TEXTS[0] ?? "",
      encoding_format: "float",
    });
    expect(data[0]?.embedding).toEqual(packed);
    expect(usage).toEqual({ prompt_tokens: 7, total_tokens: 7 });
  });

  test("an encoder asked to chat, and a text above its context, are refused as the client's faults", async () => {
    const chat = client.chat.completions.create({
      model: "e5-small-v2",
      messages: [{ role: "user", content: "Hi" }],
    });
    await expect(chat).rejects.toBeInstanceOf(BadRequestError);
    const long = client.embeddings.create({ model: "concord", input: "granite ".repeat(600) });
    await expect(long).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
      param: "input",
    });
  });

  test("a probe that was learned through one member tells the same classes through another", async () => {
    const things = ["a guitar", "the piano", "a violin", "some drums", "an old flute", "the trumpet"];
    const examples = things.flatMap((thing) => [
      { text: `Somebody plays ${thing} on the stage.`, label: "music" },
      { text: `I have forgotten the password of ${thing} shop account ${thing.length}.`, label: "account" },
    ]);
    const learned = await postJson("/v1/probes", {
      name: "topic",
      examples,
      members: ["all-minilm-l6-v2"],
    });
    expect(learned).toMatchObject({
      object: "probe",
      name: "topic",
      version: 1,
      labels: ["account", "music"],
    });
    for (const member of ["all-minilm-l6-v2", "bge-small-en-v1.5", "smollm2-135m-instruct"]) {
      const { data } = (await postJson("/classify", {
        model: "topic",
        input: [TEXTS[0], TEXTS[4]],
        concord: { members: [member] },
      })) as { data: { label: string }[] };
      expect([member, ...data.map(({ label }) => label)]).toEqual([member, "music", "account"]);
    }
  });
});
