import type { D1Database } from "@cloudflare/workers-types";
import type { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createD1AgreementLog } from "../../adapters/sqlite/d1.ts";
import { bundleWorker, startWorker, type BundledWorker } from "./miniflare-worker.ts";

const question = {
  model: "concord",
  messages: [{ role: "user", content: "Hi" }],
  max_tokens: 4,
  temperature: 0,
};

function post(worker: Miniflare, path: string, body: object, headers: Record<string, string> = {}) {
  return worker.dispatchFetch(`http://concord.test${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

describe("the shipped Worker", () => {
  let bundle: BundledWorker;
  let worker: Miniflare;
  beforeAll(async () => {
    bundle = await bundleWorker("adapters/cloudflare/worker.ts");
    worker = await startWorker(bundle);
  });
  afterAll(() => worker.dispose());

  const get = (path: string) => worker.dispatchFetch(`http://concord.test${path}`);

  test("needs nothing of Node.js and fits the free plan's 3 MiB", () => {
    expect(bundle.imports).toEqual([]);
    // Hono's JSX looks for AsyncLocalStorage where there is one, and does without.
    expect(bundle.code).not.toMatch(/\b(?:from|import|require)\s*\(?\s*["'`]node:/);
    expect(bundle.code.length).toBeLessThan(3 * 1024 * 1024);
  });

  test("is alive", async () => {
    const response = await get("/healthz");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: "ok" });
  });

  test("is not ready and says why", async () => {
    const response = await get("/readyz");
    expect(response.status).toBe(503);
    expect(await response.text()).toContain("no members are configured on this deployment");
  });

  test("lists no models", async () => {
    const response = await get("/v1/models");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ object: "list", data: [] });
  });

  test("refuses a question since it has no members, whole or streamed", async () => {
    for (const stream of [false, true]) {
      const response = await post(worker, "/v1/chat/completions", { ...question, stream });
      expect(response.status).toBe(503);
      expect(await response.json()).toMatchObject({
        error: {
          code: "not_ready",
          message: expect.stringContaining("no members are configured on this deployment"),
        },
      });
    }
  });
});

describe("a Worker with members", () => {
  let worker: Miniflare;
  let database: D1Database;
  beforeAll(async () => {
    worker = await startWorker(await bundleWorker("test/cloudflare/scripted-worker.ts"));
    database = await worker.getD1Database("DB");
  });
  afterAll(() => worker.dispose());

  test("is ready and lists the ensemble before its members", async () => {
    expect((await worker.dispatchFetch("http://concord.test/readyz")).status).toBe(200);
    const response = await worker.dispatchFetch("http://concord.test/v1/models");
    expect(await response.json()).toMatchObject({
      data: [{ id: "concord" }, { id: "first" }, { id: "second" }],
    });
  });

  test("fuses an answer, and the D1 log has the request, its members and its metrics", async () => {
    const response = await post(worker, "/v1/chat/completions", question);
    expect(response.status).toBe(200);
    const answer = (await response.json()) as { readonly id: string };
    expect(answer).toMatchObject({ object: "chat.completion", usage: { completion_tokens: 4 } });

    const record = await createD1AgreementLog(database).find(answer.id);
    expect(record).toMatchObject({
      endpoint: "chat.completions",
      model: "concord",
      completionTokens: 4,
      finishReason: "length",
      report: { members: [{ id: "first" }, { id: "second" }] },
      text: null,
    });
    const { agreement, members } = record?.report ?? {};
    // The second member has no state inside a character: those positions are not compared.
    const abstained = members?.[1]?.abstained?.positions ?? 0;
    expect(agreement?.positions).toBe(4 - abstained);
    // Where it is alone the first has all the weight.
    expect(members?.[0]?.weight).toBeCloseTo((0.5 * (4 - abstained) + abstained) / 4, 6);
    expect(members?.[1]?.weight).toBeCloseTo((0.5 * (4 - abstained)) / 4, 6);
    expect(agreement?.jsDivergence).toBeGreaterThan(0);
    expect(agreement?.jsDivergence).toBeLessThanOrEqual(Math.LN2);
  });

  test("streams an answer, and by its end the log has its rows", async () => {
    const response = await post(worker, "/v1/chat/completions", { ...question, stream: true });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const text = await response.text();
    expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
    const id = response.headers.get("x-request-id") ?? "";
    expect(await createD1AgreementLog(database).find(id)).not.toBeNull();
  });
});

test("a Worker with an API key refuses requests under /v1 without it", async () => {
  const worker = await startWorker(await bundleWorker("test/cloudflare/scripted-worker.ts"), {
    CONCORD_API_KEY: "a-key",
  });
  expect((await post(worker, "/v1/chat/completions", question)).status).toBe(401);
  const answered = await post(worker, "/v1/chat/completions", question, { authorization: "Bearer a-key" });
  expect(answered.status).toBe(200);
  await worker.dispose();
});
