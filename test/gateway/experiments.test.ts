import { describe, expect, it } from "vitest";
import type { Gateway } from "../../src/gateway/app.ts";
import { openTestExperiments } from "../experiments/harness.ts";
import { errorOf, eventsOf, post, testGateway } from "./harness.ts";

const body = {
  name: "fusion",
  arms: [
    { name: "ensemble", model: "concord" },
    { name: "member", model: "smollm2-135m-instruct", weight: 3 },
  ],
  assign_by: "user",
  metrics: [
    { name: "correct", kind: "boolean" },
    { name: "stars", kind: "number", bounds: [1, 5] },
  ],
};
const EXPERIMENTS = "/v1/experiments";

async function open() {
  const opened = await openTestExperiments();
  const { engine, experiments, desk } = opened;
  return { ...opened, app: testGateway({ engine, experiments: { experiments, feedback: desk } }) };
}

async function send(app: Gateway, method: string, path: string, sent?: unknown) {
  const response = await app.request(path, {
    method,
    ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const read = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

describe("/v1/experiments", () => {
  it("makes a draft, starts it, pauses it, starts it again and stops it with a winner", async () => {
    const { app } = await open();
    const created = await post(app, EXPERIMENTS, body);
    expect(created.status).toBe(200);
    expect(read(created.text)).toMatchObject({
      object: "experiment",
      state: "draft",
      mode: "split",
      control: "ensemble",
      salt: "fusion",
      assign_by: "user",
      alpha: 0.05,
      started: null,
    });
    const states = [];
    for (const move of ["start", "start", "pause", "start"]) {
      states.push(read((await send(app, "POST", `${EXPERIMENTS}/fusion/${move}`)).text)["state"]);
    }
    expect(states).toEqual(["running", "running", "paused", "running"]);
    const stopped = await send(app, "POST", `${EXPERIMENTS}/fusion/stop`, { winner: "member" });
    expect(read(stopped.text)).toMatchObject({ state: "stopped", winner: "member" });
    const again = await send(app, "POST", `${EXPERIMENTS}/fusion/start`);
    expect([again.status, errorOf(again.text).code]).toEqual([409, "conflict"]);
  });

  it("starts at once where that is asked for, and lists what there is", async () => {
    const { app } = await open();
    expect(read((await post(app, EXPERIMENTS, { ...body, start: true })).text)["state"]).toBe("running");
    const listed = read((await send(app, "GET", EXPERIMENTS)).text);
    expect(listed).toMatchObject({ object: "list", data: [{ name: "fusion" }] });
    expect(read((await send(app, "GET", "/v1/models/experiment:fusion")).text)).toMatchObject({
      object: "model",
    });
  });

  it("changes weights and keeps those from before, and no other field", async () => {
    const { app } = await open();
    await post(app, EXPERIMENTS, { ...body, start: true });
    const changed = await send(app, "PATCH", `${EXPERIMENTS}/fusion`, { weights: { ensemble: 2 } });
    expect(read(changed.text)).toMatchObject({
      arms: [{ weight: 2 }, { weight: 3 }],
      allocations: [{ weights: { ensemble: 1, member: 3 } }, { weights: { ensemble: 2, member: 3 } }],
    });
    const salted = await send(app, "PATCH", `${EXPERIMENTS}/fusion`, { salt: "x" });
    expect(salted.status).toBe(400);
    const unknown = await send(app, "PATCH", `${EXPERIMENTS}/fusion`, { weights: { none: 2 } });
    expect(errorOf(unknown.text)).toMatchObject({ param: "weights" });
  });

  it("lets one experiment take a model's requests, and frees them with null", async () => {
    const { app } = await open();
    await post(app, EXPERIMENTS, { ...body, start: true, default_for: "concord" });
    const second = await post(app, EXPERIMENTS, { ...body, name: "second", default_for: "concord" });
    expect(second.status).toBe(200);
    expect((await send(app, "POST", `${EXPERIMENTS}/second/start`)).status).toBe(409);
    await send(app, "PATCH", `${EXPERIMENTS}/fusion`, { default_for: null });
    expect((await send(app, "POST", `${EXPERIMENTS}/second/start`)).status).toBe(200);
  });

  it("deletes a draft and nothing that has run", async () => {
    const { app } = await open();
    await post(app, EXPERIMENTS, body);
    expect(read((await send(app, "DELETE", `${EXPERIMENTS}/fusion`)).text)).toMatchObject({ deleted: true });
    expect((await send(app, "GET", `${EXPERIMENTS}/fusion`)).status).toBe(404);
    await post(app, EXPERIMENTS, { ...body, start: true });
    expect((await send(app, "DELETE", `${EXPERIMENTS}/fusion`)).status).toBe(409);
  });

  it.each([
    [{ ...body, arms: [body.arms[0]] }, "arms"],
    [{ ...body, arms: [body.arms[0], body.arms[0]] }, "arms[1].name"],
    [{ ...body, arms: [body.arms[0], { name: "b", model: "gpt-4" }] }, "arms[1].model"],
    [{ ...body, arms: body.arms.map((arm) => ({ ...arm, weight: 0 })) }, "arms"],
    [{ ...body, arms: [body.arms[0], { ...body.arms[1], weight: -1 }] }, "arms[1].weight"],
    [{ ...body, mode: "paired_shadow", arms: [...body.arms, { name: "c", model: "concord" }] }, "arms"],
    [{ ...body, mode: "shadow" }, "mode"],
    [{ ...body, control: "none" }, "control"],
    [{ ...body, returned: "member" }, "returned"],
    [{ ...body, assign_by: "cookie" }, "assign_by"],
    [{ ...body, assign_by: "header:" }, "assign_by"],
    [{ ...body, metrics: [{ name: "comment", kind: "boolean" }] }, "metrics[0].name"],
    [{ ...body, metrics: [{ name: "correct", kind: "number" }] }, "metrics[0]"],
    [{ ...body, metrics: [{ name: "stars", kind: "number", bounds: [5, 1] }] }, "metrics[0].bounds"],
    [{ ...body, metrics: [] }, "metrics"],
    [{ ...body, alpha: 1 }, "alpha"],
    [{ ...body, default_for: "gpt-4" }, "default_for"],
    [{ ...body, name: "a b" }, "name"],
    [{ ...body, colour: "red" }, "colour"],
  ])("refuses %j and names the field", async (sent, param) => {
    const { app } = await open();
    const answer = await post(app, EXPERIMENTS, sent);
    expect([answer.status, errorOf(answer.text)]).toMatchObject([
      400,
      { type: "invalid_request_error", param },
    ]);
  });

  it("tells a name that is taken, one that is unknown, and a path that takes no such method", async () => {
    const { app } = await open();
    await post(app, EXPERIMENTS, body);
    expect((await post(app, EXPERIMENTS, body)).status).toBe(409);
    expect((await send(app, "POST", `${EXPERIMENTS}/none/stop`)).status).toBe(404);
    expect((await send(app, "PUT", `${EXPERIMENTS}/fusion`, body)).status).toBe(405);
    expect((await send(app, "POST", `${EXPERIMENTS}/fusion/stop`)).status).toBe(409);
  });

  it("is asked for under the API key where there is one, and so is feedback", async () => {
    const { engine, experiments, desk } = await openTestExperiments();
    const app = testGateway({ engine, experiments: { experiments, feedback: desk }, apiKey: "secret" });
    expect((await send(app, "GET", EXPERIMENTS)).status).toBe(401);
    expect((await post(app, "/feedback", {})).status).toBe(401);
  });
});

describe("answers of an experiment", () => {
  const chat = { model: "experiment:fusion", messages: [{ role: "user", content: "Hi" }] };

  it("say whose they are, whole and streamed, and the same user's are of the same arm", async () => {
    const { app } = await open();
    await post(app, EXPERIMENTS, { ...body, start: true });
    const whole = read((await post(app, "/v1/chat/completions", { ...chat, user: "ann" })).text);
    const streamed = eventsOf(
      (await post(app, "/v1/chat/completions", { ...chat, user: "ann", stream: true })).text,
    );
    const { experiment } = whole["concord"] as { experiment: unknown };
    expect(experiment).toMatchObject({ name: "fusion", recorded: true });
    expect(streamed.at(-2)).toMatchObject({ concord: { experiment } });
  });

  it("need the user, or the header, that they are assigned by", async () => {
    const { app } = await open();
    await post(app, EXPERIMENTS, { ...body, start: true });
    const nobody = await post(app, "/v1/chat/completions", chat);
    expect([nobody.status, errorOf(nobody.text).param]).toEqual([400, "user"]);
    await post(app, EXPERIMENTS, { ...body, name: "team", assign_by: "header:x-team", start: true });
    const completion = { model: "experiment:team", prompt: ["a", "b"] };
    expect((await post(app, "/v1/completions", completion)).status).toBe(400);
    const answered = await post(app, "/v1/completions", completion, { "x-team": "blue" });
    const arms = (read(answered.text)["choices"] as { concord: { experiment: { arm: string } } }[]).map(
      ({ concord }) => concord.experiment.arm,
    );
    expect(new Set(arms).size).toBe(1);
  });

  it("are counted, judged by feedback, and given as JSON and CSV", async () => {
    const { app } = await open();
    await post(app, EXPERIMENTS, { ...body, start: true });
    const answer = await post(app, "/v1/chat/completions", { ...chat, user: 'a"b' });
    const id = answer.headers.get("x-request-id");
    const given = { metric_name: "stars", value: 4, request_id: id };
    expect(read((await post(app, "/feedback", given)).text)).toEqual({
      feedback_id: "feedback-1",
      outcome: "new",
      experiments: ["fusion"],
    });
    expect(read((await post(app, "/feedback", given)).text)).toMatchObject({ outcome: "same" });
    const found = read((await send(app, "GET", `${EXPERIMENTS}/fusion`)).text);
    const counts = found["counts"] as { units: number; answered: number }[];
    expect(counts.map(({ units }) => units).reduce((a, b) => a + b)).toBe(1);
    const path = `${EXPERIMENTS}/fusion/observations?metric=stars`;
    expect(read((await send(app, "GET", path)).text)).toMatchObject({
      object: "list",
      metric: "stars",
      data: [{ sequence: 1, judged: 1 }],
    });
    const csv = await send(app, "GET", `${path}&format=csv`);
    expect(csv.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    const [head, line, ...rest] = csv.text.split("\r\n");
    expect(head).toBe("sequence,at,unit,ensemble,member,judged,covariate");
    expect(line).toMatch(/^1,2?[\dT:.Z-]+,[0-9a-f]{32},(4,|,4),1,1\.09/);
    expect(rest).toEqual([""]);
    expect((await send(app, "GET", `${EXPERIMENTS}/fusion/observations?metric=none`)).status).toBe(400);
  });
});

describe("/feedback", () => {
  it.each([
    [{ metric_name: "correct", value: true }, 400, "request_id"],
    [{ metric_name: "correct", value: true, request_id: "a", user: "b" }, 400, "request_id"],
    [{ metric_name: "correct", request_id: "a" }, 400, "value"],
    [{ metric_name: "correct", value: [1], request_id: "a" }, 400, "value"],
    [{ value: true, request_id: "a" }, 400, "metric_name"],
    [{ metric_name: "correct", value: true, request_id: "a", tags: { a: 1 } }, 400, "tags.a"],
    [{ metric_name: "correct", value: true, request_id: "a", colour: "red" }, 400, "colour"],
    [{ metric_name: "correct", value: true, request_id: "chatcmpl-9" }, 404, "request_id"],
    [{ metric_name: "correct", value: true, user: "nobody" }, 404, "user"],
  ])("answers %j with a clear error", async (sent, status, param) => {
    const { app } = await open();
    const answer = await post(app, "/feedback", sent);
    expect([answer.status, errorOf(answer.text)]).toMatchObject([
      status,
      { type: "invalid_request_error", param },
    ]);
  });
});
