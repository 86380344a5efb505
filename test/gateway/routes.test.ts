import { describe, expect, test } from "vitest";
import type { EnsembleHealth, Health } from "../../src/ports/health.ts";
import { createScriptedEngine } from "../scripted-engine.ts";
import { errorOf, NOW_MS, post, testGateway } from "./harness.ts";

const ask = { model: "concord", messages: [{ role: "user", content: "Hi" }] };
const card = { object: "model", created: 1_700_000_000, owned_by: "concord", context_length: 2048 };

const up = (id: string): Health => ({ id, state: "up", reason: null, restartsAt: null });

describe("models", () => {
  test("are listed in OpenAI's shape", async () => {
    const response = await testGateway().request("/v1/models");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      object: "list",
      data: [
        { id: "concord", ...card },
        { id: "smollm2-135m-instruct", ...card },
      ],
    });
  });

  test("are found by name", async () => {
    const response = await testGateway().request("/v1/models/smollm2-135m-instruct");
    expect(await response.json()).toEqual({ id: "smollm2-135m-instruct", ...card });
  });

  test("that are unknown are a 404, also with a slash in the name", async () => {
    for (const name of ["gpt-9", "some/model", "some%2Fmodel"]) {
      const response = await testGateway().request(`/v1/models/${name}`);
      expect(response.status).toBe(404);
      expect(errorOf(await response.text()).code).toBe("model_not_found");
    }
  });
});

describe("health", () => {
  test("is told while the gateway lives", async () => {
    const response = await testGateway().request("/healthz");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: "ok" });
  });

  test("readiness is 200, or 503 with the reason", async () => {
    expect((await testGateway().request("/readyz")).status).toBe(200);
    const app = testGateway({ readiness: () => ({ ready: false, reason: "the members are loading." }) });
    const response = await app.request("/readyz");
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(errorOf(await response.text())).toEqual({
      message: "The gateway is not ready: the members are loading.",
      type: "server_error",
      param: null,
      code: "not_ready",
    });
  });

  describe("readiness with members that may be lost", () => {
    const down: Health = { id: "b", state: "down", reason: "it ended with code 7", restartsAt: NOW_MS };
    const at = new Date(NOW_MS).toISOString();
    const readyz = (health: Partial<EnsembleHealth>): Response | Promise<Response> => {
      const whole = { quorum: 1, members: [up("a"), up("b")], decoder: up("the decoder"), ...health };
      return testGateway({ health: () => whole }).request("/readyz");
    };

    test("has each member's state", async () => {
      const response = await readyz({});
      expect([response.status, await response.json()]).toEqual([
        200,
        {
          status: "ready",
          quorum: 1,
          members: [
            { id: "a", state: "up" },
            { id: "b", state: "up" },
          ],
        },
      ]);
    });

    test("is 200 and degraded while the quorum is there", async () => {
      const response = await readyz({ members: [up("a"), down] });
      expect([response.status, await response.json()]).toEqual([
        200,
        {
          status: "degraded",
          quorum: 1,
          members: [
            { id: "a", state: "up" },
            { id: "b", state: "down", reason: "it ended with code 7", restarts_at: at },
          ],
        },
      ]);
    });

    test.each<[string, Partial<EnsembleHealth>, string]>([
      [
        "members",
        { quorum: 2, members: [up("a"), down] },
        `1 of 2 members can be asked and 2 are needed; b is down (it ended with code 7), starts again at ${at}`,
      ],
      [
        "decoder",
        { decoder: { ...down, id: "the decoder", state: "starting", restartsAt: null } },
        "2 of 2 members can be asked and 1 are needed; the decoder is starting (it ended with code 7)",
      ],
    ])("is 503 without the %s that an answer needs", async (_, health, why) => {
      const response = await readyz(health);
      expect(response.status).toBe(503);
      expect(errorOf(await response.text()).message).toBe(`The gateway is not ready: ${why}`);
    });
  });

  test.each(["/v1/chat/completions", "/v1/completions"])(
    "a gateway that is not ready says so on %s too",
    async (path) => {
      const engine = { ...createScriptedEngine(), models: () => [] };
      const app = testGateway({
        engine,
        readiness: () => ({ ready: false, reason: "the members are loading." }),
      });
      const { status, text } = await post(app, path, ask);
      expect(status).toBe(503);
      expect(errorOf(text).message).toBe("The gateway is not ready: the members are loading.");
    },
  );
});

describe("paths and methods", () => {
  test("an unknown path is a 404 in OpenAI's shape", async () => {
    const response = await testGateway().request("/v1/embeddings", { method: "POST" });
    expect(response.status).toBe(404);
    expect(errorOf(await response.text())).toMatchObject({
      type: "invalid_request_error",
      code: "not_found",
    });
  });

  test.each([
    ["GET", "/v1/chat/completions", "POST"],
    ["DELETE", "/v1/completions", "POST"],
    ["POST", "/v1/models", "GET, HEAD"],
    ["DELETE", "/v1/models/concord", "GET, HEAD"],
    ["POST", "/healthz", "GET, HEAD"],
    ["PUT", "/readyz", "GET, HEAD"],
  ])("%s %s is a 405 that allows %s", async (method, path, allowed) => {
    const response = await testGateway().request(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allowed);
    expect(errorOf(await response.text()).code).toBe("method_not_allowed");
  });

  test("every answer has its own x-request-id, never the client's", async () => {
    const app = testGateway();
    const headers = { "x-request-id": "mine" };
    const responses = await Promise.all(
      ["/v1/models", "/nowhere", "/v1/completions"].map((path) => app.request(path, { headers })),
    );
    expect(responses.map((response) => response.headers.get("x-request-id"))).toEqual([
      "req-1",
      "req-2",
      "cmpl-3",
    ]);
  });
});

describe("an API key", () => {
  const app = testGateway({ apiKey: "secret" });

  test.each([
    ["no header", undefined, /missing/],
    ["another scheme", "Basic secret", /missing/],
    ["another key", "Bearer secrets", /not the one/],
    ["an empty key", "Bearer ", /missing/],
  ])("refuses %s with a 401", async (_, authorization, message) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const answer = await post(app, "/v1/chat/completions", ask, headers);
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    const error = errorOf(answer.text);
    expect(error).toMatchObject({ type: "invalid_request_error", param: null, code: "invalid_api_key" });
    expect(error.message).toMatch(message);
  });

  test("lets its holder pass, and everybody to the health", async () => {
    const headers = { authorization: "Bearer secret" };
    expect((await post(app, "/v1/chat/completions", ask, headers)).status).toBe(200);
    expect((await app.request("/healthz")).status).toBe(200);
  });
});
