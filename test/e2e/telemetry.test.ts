import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { attribute, names, spansOf, treeOf } from "../node/telemetry/otlp-json.ts";
import { sampleOf, samplesOf } from "../node/telemetry/prometheus-text.ts";
import { startCollector, type Collector } from "../node/telemetry/told-gateway.ts";
import { createHome, startGateway, type RunningGateway } from "./running-gateway.ts";

const MEMBERS = ["smollm2-135m-instruct", "gemma-3-270m"];
/** A stop waits at most 2 s for the collector; the rest is the members' end on a busy machine. */
const STOP_MS = 15_000;

let home: Awaited<ReturnType<typeof createHome>>;
let collector: Collector;
let gateway: RunningGateway;

beforeAll(async () => {
  home = await createHome();
  collector = await startCollector();
  gateway = await startGateway(home.home, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "100",
  });
});

afterAll(async () => {
  await gateway?.kill();
  await collector?.close();
  await home?.remove();
});

const answerSchema = z.object({
  id: z.string(),
  usage: z.object({ completion_tokens: z.int() }),
  concord: z.object({ agreement: z.object({ js_divergence: z.number() }) }),
});

async function ask() {
  const response = await fetch(`${gateway.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({
      model: "concord",
      prompt: "The capital of France is",
      max_tokens: 6,
      temperature: 0,
    }),
  });
  return answerSchema.parse(await response.json());
}

describe("a gateway with both members", () => {
  it("tells of an answer by metrics, by a trace and by a line of its log", async () => {
    const { id, usage, concord } = await ask();
    await expect.poll(() => gateway.said()).toContain(id);

    const samples = samplesOf(await (await fetch(`${gateway.url}/metrics`)).text());
    const divergence = sampleOf(samples, "concord_js_divergence_nats").sum;
    expect(divergence).toBeCloseTo(concord.agreement.js_divergence, 9);
    for (const member of [...MEMBERS, "the shared decoder"]) {
      expect(sampleOf(samples, "concord_member_up", { concord_member: member }).value).toBe(1);
      expect(sampleOf(samples, "concord_member_open_questions", { concord_member: member }).value).toBe(0);
    }

    await expect.poll(() => spansOf(collector).some(({ parentSpanId }) => !parentSpanId)).toBe(true);
    const spans = spansOf(collector);
    const root = spans.find(({ parentSpanId }) => !parentSpanId);
    if (root === undefined) throw new Error("no root");
    const told = names(treeOf(spans, root));
    for (const name of [...MEMBERS.map((member) => `member ${member}`), "fuse", "calibrate", "append log"]) {
      expect(told).toContain(name);
    }
    const answer = spans.find(({ name }) => name === "text_completion concord");
    expect(answer && attribute(answer, "gen_ai.usage.output_tokens")).toBe(usage.completion_tokens);

    const lines = gateway.said().trim().split("\n");
    const logged = lines.map((line) => z.looseObject({ msg: z.string() }).parse(JSON.parse(line)));
    expect(logged.find(({ request_id: request }) => request === id)).toMatchObject({
      trace_id: root.traceId,
      status: 200,
      completion_tokens: usage.completion_tokens,
    });
  });

  it("stops in good order though its collector hangs", async () => {
    collector.hang();
    const before = collector.received.length;
    await ask();
    await expect.poll(() => collector.received.length).toBeGreaterThan(before);
    const start = performance.now();
    expect(await gateway.stop()).toBe(0);
    expect(performance.now() - start).toBeLessThan(STOP_MS);
  });
});
