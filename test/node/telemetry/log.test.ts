import { afterEach, describe, expect, it } from "vitest";
import { createScriptedEngine, failing } from "../../scripted-engine.ts";
import { ANSWER, startToldGateway, type ToldGateway, type ToldGatewayOptions } from "./told-gateway.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function gateway(options: ToldGatewayOptions = {}): Promise<ToldGateway> {
  const started = await startToldGateway(options);
  closing.push(started.close);
  return started;
}

/** What was logged, once there is something: a request's line comes after its response. */
async function lines(served: ToldGateway): Promise<string[]> {
  await expect.poll(() => served.logged()).toContain("\n");
  return served.logged().trim().split("\n");
}

describe("the log", () => {
  it("has a line of JSON for each request, with the id that its client got and none of its text", async () => {
    const served = await gateway();
    const response = await served.post("/v1/completions", { ...ANSWER, prompt: "a secret" });
    const { id } = (await response.json()) as { id: string };
    const [line = ""] = await lines(served);
    expect(JSON.parse(line)).toMatchObject({
      level: "info",
      request_id: id,
      method: "POST",
      path: "/v1/completions",
      status: 200,
      model: "concord",
      answered_by: "concord",
      completion_tokens: 4,
      degraded: [],
    });
    expect(response.headers.get("x-request-id")).toBe(id);
    expect(line).not.toContain("secret");
  });

  it("warns of the gateway's own failures, not of the client's faults, and leaves health checks out", async () => {
    const broken = await gateway({
      engine: () => createScriptedEngine(failing(new Error("out of paper"))),
    });
    await broken.post("/v1/completions", ANSWER);
    const failed = (await lines(broken)).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(failed.map(({ level }) => level)).toContain("error");
    expect(JSON.stringify(failed)).toContain("out of paper");

    const served = await gateway();
    await fetch(`${served.url}/healthz`);
    await served.post("/v1/completions", { model: "concord" });
    const [line = "", ...others] = await lines(served);
    expect(JSON.parse(line)).toMatchObject({ level: "info", status: 400 });
    expect(others).toEqual([]);
  });

  it("is sentences on a terminal, and silent where it is asked to be", async () => {
    const served = await gateway({ terminal: true });
    await served.post("/v1/completions", ANSWER);
    const [line = ""] = await lines(served);
    expect(line).toMatch(/POST \/v1\/completions 200 in \d+ ms, concord, \d+ \+ 4 tokens, cmpl-/);
    const silent = await gateway({ level: "silent" });
    await silent.post("/v1/completions", ANSWER);
    expect(silent.logged()).toBe("");
  });
});
