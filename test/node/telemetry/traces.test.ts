import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { openTelemetry } from "../../../adapters/node/telemetry/open-telemetry.ts";
import { attribute, names, spansOf, treeOf } from "./otlp-json.ts";
import {
  ANSWER,
  startCollector,
  startToldGateway,
  type Collector,
  type ToldGatewayOptions,
} from "./told-gateway.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function collector(): Promise<Collector> {
  const started = await startCollector();
  closing.push(started.close);
  return started;
}

async function gateway(env: NodeJS.ProcessEnv, options: ToldGatewayOptions = {}) {
  const started = await startToldGateway({ env, ...options });
  closing.push(started.close);
  return started;
}

const jsonTo = (url: string): NodeJS.ProcessEnv => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: url,
  OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
});

const CLIENTS_SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

/** Breaks off in the middle of an answer. */
const broken: ToldGatewayOptions["engine"] = () => ({
  models: () => [{ id: "concord", created: 0, ownedBy: "concord", contextLength: 8 }],
  async *answer() {
    yield { type: "delta", text: "Ha", tokens: [] };
    throw new Error("out of paper");
  },
});

describe("a request's trace", () => {
  it("goes from HTTP through members, projection, decoding, fusing and calibration to the log", async () => {
    const to = await collector();
    const served = await gateway(jsonTo(to.url));
    const response = await served.post("/v1/completions", ANSWER);
    const { id } = z.object({ id: z.string() }).parse(await response.json());
    await served.close();

    const spans = spansOf(to);
    const root = spans.find(({ parentSpanId }) => !parentSpanId);
    if (root === undefined) throw new Error("no root");
    const tree = treeOf(spans, root);
    expect(tree[0]).toBe("POST /v1/completions");
    expect(tree.slice(1).map((part) => part[0])).toEqual(["text_completion concord"]);
    const answer = tree[1];
    expect(new Set(answer?.slice(1).map((part) => part[0]))).toEqual(
      new Set(["member first", "member second", "project", "decode", "fuse", "calibrate", "append log"]),
    );
    expect(answer?.slice(-2).map((part) => part[0])).toEqual(["calibrate", "append log"]);
    expect(names(tree).filter((name) => name === "read prompt")).toHaveLength(2);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);

    const asked = spans.find(({ name }) => name === "text_completion concord");
    if (asked === undefined) throw new Error("no answer");
    expect(attribute(asked, "gen_ai.operation.name")).toBe("text_completion");
    expect(attribute(asked, "gen_ai.provider.name")).toBe("concord");
    expect(attribute(asked, "gen_ai.response.id")).toBe(id);
    expect(attribute(asked, "gen_ai.usage.output_tokens")).toBe(4);
    expect(attribute(asked, "concord.js_divergence")).toBeGreaterThan(0);
    expect(attribute(root, "concord.request_id")).toBe(id);
    expect(attribute(root, "http.response.status_code")).toBe(200);
    expect(root.kind).toBe(2);

    const member = spans.find(({ name }) => name === "member first");
    if (member === undefined) throw new Error("no member");
    expect(attribute(member, "concord.times")).toBe(4);
    // A millisecond for clocks that tell whole ones.
    const slack = 1_000_000n;
    for (const part of spans) {
      const parent = spans.find(({ spanId }) => spanId === part.parentSpanId);
      expect(BigInt(part.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(part.startTimeUnixNano));
      if (parent === undefined) continue;
      expect(BigInt(part.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(parent.startTimeUnixNano) - slack);
      expect(BigInt(part.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(parent.endTimeUnixNano) + slack);
    }
    expect(JSON.stringify(spans)).not.toContain("Hello");
  });

  it("goes on with the client's trace, and leaves out what the client did not sample", async () => {
    const to = await collector();
    const served = await gateway(jsonTo(to.url));
    await served.post("/v1/completions", ANSWER, { traceparent: `${CLIENTS_SPAN}-00` });
    await served.post("/v1/completions", ANSWER, { traceparent: `${CLIENTS_SPAN}-01` });
    await served.close();
    const spans = spansOf(to);
    const roots = spans.filter(({ parentSpanId }) => parentSpanId === "b7ad6b7169203331");
    expect(roots).toHaveLength(1);
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(
      new Set(["0af7651916cd43dd8448eb211c80319c"]),
    );
    expect(served.logged()).toContain('"trace_id":"0af7651916cd43dd8448eb211c80319c"');
  });

  it("has the weighing of choices", async () => {
    const to = await collector();
    const served = await gateway(jsonTo(to.url));
    const { max_tokens: _, logit_bias: __, ...ask } = ANSWER;
    const response = await served.post("/v1/completions", {
      ...ask,
      structured_outputs: { choice: ["yes", "no"] },
    });
    expect(response.status).toBe(200);
    await served.close();
    const told = spansOf(to).map(({ name }) => name);
    expect(told).toContain("weigh choices");
    expect(told).not.toContain("calibrate");
  });

  it("says what an answer failed with; a client's fault is no error of the server", async () => {
    const to = await collector();
    const served = await gateway(jsonTo(to.url), { engine: broken });
    const cut = await served.post("/v1/completions", { ...ANSWER, stream: true });
    expect(cut.status).toBe(200);
    await cut.text();
    await served.post("/v1/completions", { ...ANSWER, temperature: 9 });
    await served.close();
    const [streamed, refused] = spansOf(to).filter(({ parentSpanId }) => !parentSpanId);
    expect(streamed?.status).toEqual({ code: 2, message: "internal" });
    expect(refused && attribute(refused, "error.type")).toBe("invalid_request");
    expect(refused?.status.code).toBe(0);
    const answer = spansOf(to).find(({ name }) => name === "text_completion concord");
    expect(answer?.status).toEqual({ code: 2, message: "out of paper" });
  });

  it("is sent as protobuf where nothing else is asked for, with what the resource variables say", async () => {
    const to = await collector();
    const served = await gateway({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${to.url}/own/path` });
    await served.post("/v1/completions", ANSWER);
    await served.close();
    expect(to.received[0]?.path).toBe("/own/path");
    expect(to.received[0]?.headers["content-type"]).toBe("application/x-protobuf");
    const body = to.received[0]?.body.toString("latin1");
    for (const told of ["service.name", "concord", "service.version", "1.2.3", "append log"]) {
      expect(body).toContain(told);
    }
  });

  it("is not begun by health checks and scrapes", async () => {
    const to = await collector();
    const served = await gateway(jsonTo(to.url));
    for (const path of ["/healthz", "/readyz", "/metrics"]) await fetch(served.url + path);
    await served.close();
    expect(to.received).toEqual([]);
  });
});

describe("a collector", () => {
  it.each(["is away", "hangs"])(
    "that %s neither slows nor fails an answer, nor a stop for long",
    async (way) => {
      const to = await startCollector();
      to.hang();
      if (way === "is away") await to.close();
      else closing.push(to.close);
      vi.stubEnv("OTEL_BSP_SCHEDULE_DELAY", "20");
      if (way === "is away") vi.stubEnv("OTEL_EXPORTER_OTLP_TIMEOUT", "100");
      const served = await startToldGateway({ env: jsonTo(to.url) });
      vi.unstubAllEnvs();
      const durations: number[] = [];
      for (let i = 0; i < 20; i++) {
        const start = performance.now();
        const response = await served.post("/v1/completions", ANSWER);
        expect(response.status).toBe(200);
        await response.text();
        durations.push(performance.now() - start);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      if (way === "hangs") await expect.poll(() => to.received.length).toBeGreaterThan(0);
      expect(Math.max(...durations)).toBeLessThan(1000);
      const start = performance.now();
      await served.close();
      expect(performance.now() - start).toBeLessThan(4000);
      if (way === "is away") expect(served.logged().match(/"msg":"traces: /g)).toHaveLength(1);
    },
  );

  it("is not loaded for unless it is named", async () => {
    const served = await gateway({ OTEL_EXPORTER_OTLP_ENDPOINT: "" });
    const response = await served.post("/v1/completions", ANSWER, {
      traceparent: `${CLIENTS_SPAN}-01`,
    });
    expect(response.status).toBe(200);
    expect(served.logged()).not.toContain("trace_id");
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317" }, "expected the http or https address"],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://a", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
      "expected http/protobuf or http/json, got grpc",
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://a", OTEL_TRACES_EXPORTER: "zipkin" },
      "expected otlp or none, got zipkin",
    ],
  ])("that cannot be spoken to is refused at the start: %o", async (env, told) => {
    const opening = openTelemetry({ level: "silent", version: "1", knownModels: () => [], env });
    await expect(opening).rejects.toThrow(told);
  });
});
