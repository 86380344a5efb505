import { assert as assertProperty, asyncProperty, jsonValue } from "fast-check";
import { describe, expect, test } from "vitest";
import { createScriptedEmbedder } from "../scripted-embedder.ts";
import { errorOf, post, testGateway } from "./harness.ts";

const PATH = "/v1/embeddings";

interface EmbeddingsBody {
  readonly data: readonly { readonly index: number; readonly embedding: readonly number[] | string }[];
}

const gateway = () => testGateway({ embedder: createScriptedEmbedder() });

async function vectorsOf(body: object): Promise<EmbeddingsBody["data"][number]["embedding"][]> {
  const { text } = await post(gateway(), PATH, { model: "e5-small-v2", ...body });
  return (JSON.parse(text) as EmbeddingsBody).data.map(({ embedding }) => embedding);
}

describe("embeddings", () => {
  test("have OpenAI's shape, one vector a text in the texts' order", async () => {
    const { status, headers, text } = await post(gateway(), PATH, {
      model: "e5-small-v2",
      input: ["granite", "basalt"],
      user: "somebody",
    });
    expect(status).toBe(200);
    expect(headers.get("x-request-id")).toBe("req-1");
    expect(JSON.parse(text)).toEqual({
      object: "list",
      data: [
        { object: "embedding", index: 0, embedding: [3 / 5, 4 / 5, 0].map(Math.fround) },
        { object: "embedding", index: 1, embedding: [3 / 13, 4 / 13, 12 / 13].map(Math.fround) },
      ],
      model: "e5-small-v2",
      usage: { prompt_tokens: 5, total_tokens: 5 },
    });
  });

  test("of one text are a list of one", async () => {
    expect(await vectorsOf({ input: "granite" })).toHaveLength(1);
  });

  test("in base64 are the same single-precision numbers, little-endian", async () => {
    const input = ["granite", "basalt"];
    const plain = await vectorsOf({ input });
    const packed = await vectorsOf({ input, encoding_format: "base64" });
    const unpacked = packed.map((base64) => {
      const bytes = Buffer.from(String(base64), "base64");
      return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    });
    expect(unpacked).toEqual(plain);
  });

  test("cut to fewer dimensions have length 1 again and keep their direction", async () => {
    const [, cut] = await vectorsOf({ input: ["granite", "basalt"], dimensions: 2 });
    expect(cut).toEqual([3 / 5, 4 / 5].map((x) => expect.closeTo(x, 6)));
    expect(await vectorsOf({ input: "granite", dimensions: 3 })).toEqual(
      await vectorsOf({ input: "granite" }),
    );
  });

  test("are asked of the embedder with all texts at once and a signal", async () => {
    const embedder = createScriptedEmbedder();
    await post(testGateway({ embedder }), PATH, { model: "concord", input: ["a", "b"] });
    expect(embedder.requests).toEqual([
      { model: "concord", texts: ["a", "b"], signal: expect.any(AbortSignal) },
    ]);
  });
});

describe("what cannot be embedded is refused", () => {
  const refusals: readonly (readonly [what: string, body: object, param: string | null, status: number])[] = [
    ["no input", {}, "input", 400],
    ["an empty text", { input: "" }, "input", 400],
    ["an empty text among others", { input: ["granite", ""] }, "input[1]", 400],
    ["no texts", { input: [] }, "input", 400],
    ["too many texts", { input: Array.from({ length: 2049 }, () => "x") }, "input", 400],
    ["token ids", { input: [1, 2, 3] }, "input[0]", 400],
    ["lists of token ids", { input: [[1, 2], [3]] }, "input[0]", 400],
    ["half a character", { input: "\ud800" }, "input", 400],
    ["another format", { input: "x", encoding_format: "int8" }, "encoding_format", 400],
    ["no dimensions", { input: "x", dimensions: 0 }, "dimensions", 400],
    ["more dimensions than there are", { input: "x", dimensions: 4 }, "dimensions", 400],
    ["a text above the context", { input: "long" }, "input", 400],
    ["an unknown field", { input: "x", truncate: true }, "truncate", 400],
    ["tools", { input: "x", tools: [{}] }, "tools", 400],
    ["an unknown model", { input: "x", model: "gpt-9" }, "model", 404],
    ["a model that only answers", { input: "x", model: "smollm2-135m-instruct" }, "model", 404],
  ];

  test.each(refusals)("%s", async (_, body, param, status) => {
    const answer = await post(gateway(), PATH, { model: "concord", ...body });
    expect(answer.status).toBe(status);
    expect(errorOf(answer.text)).toMatchObject({ type: "invalid_request_error", param });
  });

  test("whatever the input is, the answer is vectors or a 4xx", async () => {
    const app = gateway();
    await assertProperty(
      asyncProperty(jsonValue(), async (input) => {
        const { status, text } = await post(app, PATH, { model: "concord", input });
        if (status === 200) expect((JSON.parse(text) as EmbeddingsBody).data.length).toBeGreaterThan(0);
        else expect([status, errorOf(text).type]).toEqual([400, "invalid_request_error"]);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  test("a gateway that is not ready says so, and one without an embedder has no such path", async () => {
    const loading = testGateway({
      embedder: createScriptedEmbedder(),
      readiness: () => ({ ready: false, reason: "loading" }),
    });
    expect((await post(loading, PATH, { model: "concord", input: "x" })).status).toBe(503);
    expect((await post(testGateway(), PATH, { model: "concord", input: "x" })).status).toBe(404);
  });

  test("other methods are named", async () => {
    const response = await gateway().request(PATH);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
  });
});

describe("models that give embeddings alone", () => {
  test("are listed after those that answer, each name once", async () => {
    const response = await gateway().request("/v1/models");
    const { data } = (await response.json()) as { readonly data: readonly { readonly id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(["concord", "smollm2-135m-instruct", "e5-small-v2"]);
    const found = await gateway().request("/v1/models/e5-small-v2");
    expect(await found.json()).toMatchObject({ id: "e5-small-v2", context_length: 512 });
  });

  test.each([
    ["/v1/chat/completions", { messages: [{ role: "user", content: "Hi" }] }],
    ["/v1/completions", { prompt: "Hi" }],
  ])("are refused at %s", async (path, body) => {
    const { status, text } = await post(gateway(), path, { model: "e5-small-v2", ...body });
    expect(status).toBe(400);
    expect(errorOf(text)).toMatchObject({ code: "unsupported_parameter", param: "model" });
    expect(errorOf(text).message).toContain("/v1/embeddings");
  });
});
