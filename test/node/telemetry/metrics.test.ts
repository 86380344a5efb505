import { afterEach, describe, expect, it } from "vitest";
import { createPrometheusMetrics } from "../../../adapters/node/telemetry/prometheus.ts";
import { createSupervisedMember } from "../../../src/ensemble/supervised-member.ts";
import { joinTelemetry } from "../../../adapters/node/telemetry/join.ts";
import type { AnswerEvent } from "../../../src/ports/engine.ts";
import { GatewayError } from "../../../src/ports/gateway-error.ts";
import type { AnswerRecord } from "../../../src/ports/telemetry.ts";
import { createFaultyMember } from "../../faulty-member.ts";
import { createManualTimers } from "../../manual-timers.ts";
import { createScriptedEngine, ending, endless, failing, scriptedReport } from "../../scripted-engine.ts";
import { plainSampling, type Question } from "../../../src/ports/engine.ts";
import { sampleOf, samplesOf } from "./prometheus-text.ts";
import { ANSWER, startToldGateway, type ToldGateway, type ToldGatewayOptions } from "./told-gateway.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function gateway(options: ToldGatewayOptions = {}): Promise<ToldGateway> {
  const started = await startToldGateway({ level: "silent", ...options });
  closing.push(started.close);
  return started;
}

const asked = {
  gen_ai_operation_name: "text_completion",
  gen_ai_provider_name: "concord",
  gen_ai_request_model: "concord",
};
const answered = { ...asked, gen_ai_response_model: "concord" };

/** By the convention: labels that are required, and the bounds of the buckets. */
const CONVENTION = {
  gen_ai_server_request_duration_seconds: [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
  ],
  gen_ai_server_time_to_first_token_seconds: [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
  ],
  gen_ai_server_time_per_output_token_seconds: [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5,
  ],
  gen_ai_client_token_usage: [
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
  ],
  http_server_request_duration_seconds: [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
  ],
} as const;

describe("/metrics", () => {
  it("has an answer under the names, labels and buckets of OpenTelemetry's conventions", async () => {
    const served = await gateway();
    await (await served.post("/v1/completions", ANSWER)).text();
    const response = await fetch(`${served.url}/metrics`);
    expect(response.headers.get("content-type")).toContain("text/plain; version=0.0.4");
    const samples = samplesOf(await response.text());
    for (const [name, bounds] of Object.entries(CONVENTION)) {
      const labels = name.startsWith("http") ? { http_route: "/v1/completions" } : answered;
      const type = name === "gen_ai_client_token_usage" ? { gen_ai_token_type: "output" } : {};
      const sample = sampleOf(samples, name, { ...labels, ...type });
      expect([sample.type, sample.value]).toEqual(["histogram", 1]);
      expect(sample.buckets.map(([bound]) => bound)).toEqual([...bounds, Infinity]);
    }
    expect(
      sampleOf(samples, "gen_ai_client_token_usage", { ...answered, gen_ai_token_type: "output" }).sum,
    ).toBe(4);
    expect(
      sampleOf(samples, "http_server_request_duration_seconds", { http_route: "/v1/completions" }).labels,
    ).toEqual({
      http_request_method: "POST",
      http_response_status_code: "200",
      http_route: "/v1/completions",
      url_scheme: "http",
    });
  });

  it("has how far the members agreed, their weights and times, and why there is no confidence", async () => {
    const served = await gateway();
    const answer = (await (await served.post("/v1/completions", ANSWER)).json()) as {
      concord: {
        agreement: { js_divergence: number; top1_agreement: number; state_distance: number };
        members: { id: string; weight: number }[];
      };
    };
    const samples = samplesOf(await served.metrics());
    const { agreement, members } = answer.concord;
    expect(sampleOf(samples, "concord_js_divergence_nats", asked).sum).toBeCloseTo(
      agreement.js_divergence,
      9,
    );
    expect(sampleOf(samples, "concord_top1_agreement_ratio", asked).sum).toBe(agreement.top1_agreement);
    expect(sampleOf(samples, "concord_state_distance", asked).sum).toBeCloseTo(agreement.state_distance, 9);
    for (const { id, weight } of members) {
      expect(sampleOf(samples, "concord_member_weight", { concord_member: id }).sum).toBeCloseTo(weight, 9);
      expect(sampleOf(samples, "concord_member_compute_seconds", { concord_member: id }).value).toBe(1);
    }
    expect(sampleOf(samples, "concord_confidence_unknown_total").labels).toEqual({
      concord_confidence_gap: "sampling",
    });
    expect(sampleOf(samples, "concord_log_append_duration_seconds").value).toBe(1);
  });

  it("has embeddings, and errors by their code", async () => {
    const served = await gateway({
      engine: () => createScriptedEngine(failing(new GatewayError("members_lost", "gone"))),
    });
    await served.post("/v1/embeddings", { model: "e5-small-v2", input: "six le" });
    await served.post("/v1/embeddings", { model: "e5-small-v2", input: "long" });
    expect((await served.post("/v1/completions", ANSWER)).status).toBe(503);
    const samples = samplesOf(await served.metrics());
    const embeddings = { gen_ai_operation_name: "embeddings", gen_ai_request_model: "e5-small-v2" };
    expect(sampleOf(samples, "gen_ai_client_token_usage", embeddings).sum).toBe(2);
    const failed = samples.filter(
      ({ name, labels }) => name === "gen_ai_server_request_duration_seconds" && labels["error_type"],
    );
    expect(failed.map(({ labels }) => [labels["gen_ai_operation_name"], labels["error_type"]])).toEqual([
      ["embeddings", "context_length_exceeded"],
      ["text_completion", "members_lost"],
    ]);
    // A client's fault is none of the server's.
    expect(
      samples
        .filter(({ name }) => name === "http_server_request_duration_seconds")
        .map(({ labels }) => [labels["http_response_status_code"], labels["error_type"]]),
    ).toEqual([
      ["200", undefined],
      ["400", undefined],
      ["503", "members_lost"],
    ]);
  });

  it("counts requests while they are answered, also after the head of a stream is out", async () => {
    const served = await gateway({ engine: () => createScriptedEngine((question) => endless(question)) });
    const client = new AbortController();
    const active = async () =>
      sampleOf(samplesOf(await served.metrics()), "http_server_active_requests").value;
    const response = await fetch(`${served.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ ...ANSWER, stream: true }),
      signal: client.signal,
    });
    expect(response.status).toBe(200);
    expect(await active()).toBe(1);
    client.abort();
    await expect.poll(active).toBe(0);
    const samples = samplesOf(await served.metrics());
    expect(sampleOf(samples, "gen_ai_server_request_duration_seconds").labels["error_type"]).toBe(
      "cancelled",
    );
    expect(sampleOf(samples, "http_server_request_duration_seconds").labels["error_type"]).toBeUndefined();
  });

  it("has no label that a client can make up", async () => {
    const served = await gateway();
    for (let i = 0; i < 50; i++) {
      await served.post("/v1/completions", { ...ANSWER, model: `gpt-${i}` });
      await fetch(`${served.url}/made/up/${i}`);
      await fetch(`${served.url}/v1/models/made-up-${i}`);
    }
    await fetch(`${served.url}/healthz`, { method: "PROPFIND" });
    const text = await served.metrics();
    expect(text).not.toMatch(/gpt-|made-?up|PROPFIND/);
    const requests = samplesOf(text).filter(({ name }) => name === "http_server_request_duration_seconds");
    expect(requests.map(({ labels, value }) => [labels["http_route"], value])).toEqual([
      ["/v1/completions", 50],
      [undefined, 50],
      ["/v1/models/:id{.+}", 50],
      ["/healthz", 1],
    ]);
  });

  it("is behind the API key where there is one, and takes GET alone", async () => {
    const served = await gateway({ apiKey: "secret" });
    const status = async (init: RequestInit) => (await fetch(`${served.url}/metrics`, init)).status;
    expect(await status({})).toBe(401);
    expect(await status({ headers: { authorization: "Bearer secret" } })).toBe(200);
    expect(await status({ method: "POST", headers: { authorization: "Bearer secret" } })).toBe(405);
    expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
  });

  it("has the process and its event loop", async () => {
    const served = await gateway();
    const names = new Set(samplesOf(await served.metrics()).map(({ name }) => name));
    for (const name of [
      "process_cpu_seconds_total",
      "process_resident_memory_bytes",
      "nodejs_eventloop_lag_p99_seconds",
    ]) {
      expect(names).toContain(name);
    }
  });
});

const question: Question = {
  requestId: "q",
  model: "concord",
  endpoint: "chat.completions",
  prompt: { kind: "text", text: "Hi" },
  maxTokens: 2,
  stop: [],
  sampling: plainSampling,
  topLogprobs: null,
  echo: false,
};
const end = ending(question) as Extract<AnswerEvent, { type: "end" }>;

function told(outcome: AnswerRecord["outcome"], model = "concord"): AnswerRecord {
  return { requestId: "q", operation: "chat", model, latencyMs: 900, firstTokenMs: 100, outcome };
}

async function samplesAfter(record: AnswerRecord) {
  const { telemetry, read } = createPrometheusMetrics({ knownModels: () => ["concord"] });
  telemetry.answered(record);
  return samplesOf((await read()).text);
}

describe("metrics of an answer", () => {
  it("count those that a member was lost from", async () => {
    const report = scriptedReport(question);
    const lost = { position: 1, reason: "crashed" };
    const members = report.members.map((member, m) => (m === 1 ? { ...member, lost } : member));
    const samples = await samplesAfter(told({ ...end, report: { ...report, members } }));
    expect(sampleOf(samples, "concord_degraded_answers_total").value).toBe(1);
    expect(sampleOf(samples, "concord_member_abstained_positions_total").labels).toEqual({
      concord_member: "gemma-3-270m",
    });
    const sound = await samplesAfter(told(end));
    expect(sound.filter(({ name }) => name === "concord_degraded_answers_total")).toEqual([]);
  });

  it("have calibrated confidences by kind", async () => {
    const calibration = { name: "facts", items: 100, likeness: 1 };
    const confidence = { value: 0.75, kind: "choice", calibration } as const;
    const sample = sampleOf(await samplesAfter(told({ ...end, confidence })), "concord_confidence_ratio");
    expect(sample.labels).toEqual({ concord_confidence_kind: "choice" });
    expect(sample.buckets.find(([, count]) => count === 1)).toEqual([0.8, 1]);
  });

  it("call a model that nobody knows _OTHER, and take the time of tokens after the first", async () => {
    const samples = await samplesAfter(told(end, "made-up"));
    const sample = sampleOf(samples, "gen_ai_server_time_per_output_token_seconds");
    expect(sample.labels["gen_ai_request_model"]).toBe("_OTHER");
    expect(sample.sum).toBeCloseTo(0.8, 9);
  });
});

describe("metrics of members", () => {
  it("follow one that is lost and comes back, with the questions that are open", async () => {
    const { telemetry, read } = createPrometheusMetrics({ knownModels: () => [] });
    const value = async (name: string) =>
      sampleOf(samplesOf((await read()).text), name, { concord_member: "faulty" }).value;
    const state = async () =>
      Promise.all(
        ["up", "losses_total", "restarts_total", "open_questions"].map((name) =>
          value(`concord_member_${name}`),
        ),
      );
    const timers = createManualTimers();
    const faulty = createFaultyMember({ id: "faulty" });
    const member = await createSupervisedMember({
      id: "faulty",
      start: faulty.start,
      timers,
      random: () => 0,
      timeoutMs: 1000,
      onChange: telemetry.healthChanged,
      onQuestions: telemetry.questionsOpen,
    });
    const sequence = member.openSequence();
    await sequence.append(Int32Array.of(1));
    expect(await state()).toEqual([1, 0, 0, 0]);
    faulty.break("hang");
    const asking = Promise.allSettled([
      sequence.append(Int32Array.of(2)),
      member.head.decode(new Float32Array(member.head.width)),
    ]);
    expect(await state()).toEqual([1, 0, 0, 2]);
    timers.advance(1000);
    await asking;
    expect(await state()).toEqual([0, 1, 0, 0]);
    faulty.nextStart("fails");
    timers.advance(500);
    await expect.poll(() => faulty.starts).toBe(2);
    expect((await state()).slice(0, 3)).toEqual([0, 1, 0]);
    timers.advance(1000);
    await expect.poll(() => member.health.state).toBe("up");
    expect(await state()).toEqual([1, 1, 1, 0]);
    faulty.release();
  });
});

describe("a listener that fails", () => {
  it("fails alone: the others are told, and so is the failure", () => {
    const heard: string[] = [];
    const out = new Error("out of paper");
    const joined = joinTelemetry(
      [
        {
          questionsOpen: () => {
            throw out;
          },
        },
        { questionsOpen: (id, count) => void heard.push(`${id} ${count}`) },
      ],
      (error) => heard.push(String(error)),
    );
    joined.questionsOpen("gemma-3-270m", 2);
    joined.logAppended(1);
    expect(heard).toEqual(["Error: out of paper", "gemma-3-270m 2"]);
  });
});
