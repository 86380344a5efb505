import { describe, expect, it, test } from "vitest";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { Probe } from "../../src/ports/probe-store.ts";
import type { ClassifyRequest, ProbeFitRequest, Probes } from "../../src/ports/probes.ts";
import { createProbe } from "../contracts/probe-store.ts";
import { errorOf, eventsOf, post, testGateway } from "./harness.ts";

const probe: Probe = { ...createProbe(), version: 3 };
const { weights: _weights, bias: _bias, ...summary } = probe;

function known(name: string): void {
  if (name === "tone") return;
  throw new GatewayError("unknown_model", `There is no probe '${name}'.`, { param: "model" });
}

/** Knows the probe tone, and what it was asked. */
function scriptedProbes() {
  const fits: ProbeFitRequest[] = [];
  const asked: ClassifyRequest[] = [];
  const added: Omit<Probe, "version">[] = [];
  const probes: Probes = {
    async fit(request) {
      fits.push(request);
      request.progress.stage("a reads 2 examples", 2, "steps");
      request.progress.update(2);
      request.progress.finish();
      return summary;
    },
    async classify(request) {
      known(request.name);
      asked.push(request);
      const outputs = Float64Array.from(request.texts.flatMap(() => [0.25, 0.5, 0.25]));
      return { probe: summary, members: ["first"], lost: [], calibrated: true, outputs, tokens: 7 };
    },
    list: async () => [summary],
    async find(name) {
      known(name);
      return probe;
    },
    async add(imported) {
      added.push(imported);
      return summary;
    },
    async remove(name) {
      known(name);
      return 3;
    },
  };
  return { probes, fits, asked, added };
}

const examples = [
  { text: "fine", label: "good" },
  { text: "poor", label: "bad" },
];

describe("/v1/probes", () => {
  it("fits a probe and shows what came of it", async () => {
    const { probes, fits } = scriptedProbes();
    const answer = await post(testGateway({ probes }), "/v1/probes", { name: "tone", examples, ridge: 3 });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toMatchObject({
      object: "probe",
      name: "tone",
      version: 3,
      created: 1_750_000_000,
      metrics: { accuracy: 0.75, log_loss: 0.625 },
    });
    expect(fits[0]).toMatchObject({
      texts: ["fine", "poor"],
      outcomes: { task: "classification", labels: ["good", "bad"] },
      ridge: 3,
    });
  });

  it("tells how far a fit is, where that is asked for", async () => {
    const { probes } = scriptedProbes();
    const answer = await post(testGateway({ probes }), "/v1/probes", {
      name: "tone",
      examples,
      stream: true,
    });
    const events = eventsOf(answer.text) as { object?: string }[];
    expect(events.at(-1)).toBe("[DONE]");
    expect(events.at(-2)).toMatchObject({ object: "probe", name: "tone" });
  });

  it("is exported, imported elsewhere to the last bit, listed and removed", async () => {
    const { probes, added } = scriptedProbes();
    const gateway = testGateway({ probes });
    const exported = await (await gateway.request("/v1/probes/tone/export")).text();
    expect((await post(gateway, "/v1/probes/import", exported)).status).toBe(200);
    const { version: _version, createdAt, ...rest } = probe;
    expect(added[0]).toEqual({ ...rest, createdAt: Math.floor(createdAt / 1000) * 1000 });
    const list = (await (await gateway.request("/v1/probes")).json()) as { data: { name: string }[] };
    expect(list.data.map(({ name }) => name)).toEqual(["tone"]);
    const removed = await gateway.request("/v1/probes/tone", { method: "DELETE" });
    expect(await removed.json()).toEqual({
      object: "probe.deleted",
      name: "tone",
      versions: 3,
      deleted: true,
    });
    expect((await gateway.request("/v1/probes/none")).status).toBe(404);
  });

  test.each([
    [{ name: "a b", examples }, "name", "letters, digits"],
    [{ name: "tone", examples: [] }, "examples", "1 to 50000 examples"],
    [{ name: "tone", examples: [{ text: "", label: "x" }] }, "examples[0].text", "not empty"],
    [
      { name: "tone", examples: [...examples, { text: "x", label: 1 }] },
      "examples[2].label",
      "all are classes (strings) or all are values (numbers)",
    ],
    [{ name: "tone", examples, ridge: 0 }, "ridge", "above 0"],
    [{ name: "tone", examples, depth: "top" }, "depth", '"middle" or "deep"'],
    [{ name: "tone", examples, colour: 1 }, "colour", "Unrecognized"],
  ])("%j is refused", async (body, param, message) => {
    const answer = await post(testGateway({ probes: scriptedProbes().probes }), "/v1/probes", body);
    expect(answer.status).toBe(400);
    expect(errorOf(answer.text)).toMatchObject({ param, code: "invalid_request" });
    expect(errorOf(answer.text).message).toContain(message);
  });

  test("an import whose sizes do not fit is refused by field", async () => {
    const { probes } = scriptedProbes();
    const gateway = testGateway({ probes });
    const document = (await (await gateway.request("/v1/probes/tone/export")).json()) as Record<
      string,
      unknown
    >;
    for (const [change, param] of [
      [{ labels: ["one"] }, "labels"],
      [{ bias: document["weights"] }, "bias"],
      [{ weights: "%%%" }, "weights"],
      [{ format: 9 }, "format"],
    ] as const) {
      const answer = await post(gateway, "/v1/probes/import", { ...document, ...change });
      expect(answer.status).toBe(400);
      expect(errorOf(answer.text).param).toBe(param);
    }
  });
});

describe("/classify", () => {
  it("answers in vLLM's shape, in the order of the texts", async () => {
    const { probes, asked } = scriptedProbes();
    const answer = await post(testGateway({ probes }), "/classify", {
      model: "tone@3",
      input: ["one", "two"],
      concord: { members: ["first"] },
    });
    expect(JSON.parse(answer.text)).toEqual({
      id: "classify-1",
      object: "list",
      created: 1_750_000_000,
      model: "tone",
      data: [0, 1].map((index) => ({ index, label: "good", probs: [0.25, 0.5, 0.25], num_classes: 3 })),
      usage: { prompt_tokens: 7, total_tokens: 7, completion_tokens: 0, prompt_tokens_details: null },
      concord: {
        version: 3,
        task: "classification",
        trained_through: ["first", "second"],
        members: ["first"],
        calibrated: true,
      },
    });
    expect(asked[0]).toMatchObject({ name: "tone", version: 3, texts: ["one", "two"], members: ["first"] });
  });

  it("knows its probes, and refuses bad input", async () => {
    const gateway = testGateway({ probes: scriptedProbes().probes });
    expect((await post(gateway, "/classify", { model: "none", input: "x" })).status).toBe(404);
    for (const body of [{ model: "tone", input: [] }, { model: "tone@x", input: "x" }, { model: "tone" }]) {
      expect((await post(gateway, "/classify", body)).status).toBe(400);
    }
  });
});
