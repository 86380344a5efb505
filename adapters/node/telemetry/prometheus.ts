import { collectDefaultMetrics, Registry } from "prom-client";
import type { MetricsText } from "../../../src/gateway/metrics.ts";
import type { AnswerReport, Confidence } from "../../../src/ports/engine.ts";
import type { Health } from "../../../src/ports/health.ts";
import type { Alert } from "../../../src/ports/observations.ts";
import type { AnswerRecord, RequestRecord, Telemetry } from "../../../src/ports/telemetry.ts";
import { defineMetrics, type Metrics } from "./metrics.ts";

/**
 * Metrics for Prometheus. Where OpenTelemetry's GenAI and HTTP conventions have a name, attributes and buckets, these are
 * taken, spelled as its exporter for Prometheus spells them (dots to underscores, the unit last); what only an ensemble has
 * is `concord_*`. Every label has a bounded set of values.
 */
export interface PrometheusMetrics {
  readonly telemetry: Omit<Telemetry, "startTrace">;
  read(): Promise<MetricsText>;
}

export interface PrometheusOptions {
  /** Every model's name: others become the label `_OTHER`. */
  readonly knownModels: () => readonly string[];
}

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]);
const OTHER = "_OTHER";

export function createPrometheusMetrics({ knownModels }: PrometheusOptions): PrometheusMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = defineMetrics(registry);
  const labelOf = (model: string): string => (knownModels().includes(model) ? model : OTHER);
  return {
    telemetry: {
      answered: (answer) => recordAnswer(metrics, answer, labelOf),
      requestStarted: (method) => metrics.active.inc(activeLabels(method)),
      requestEnded: (request) => recordRequest(metrics, request),
      healthChanged: createHealthRecorder(metrics),
      questionsOpen: (id, count) => metrics.queue.set({ concord_member: id }, count),
      logAppended: (latencyMs) => metrics.append.observe(latencyMs / 1000),
      alertRaised: (alert) => {
        metrics.alerts.inc({ ...signalLabels(alert), concord_direction: alert.direction });
        metrics.raised.set(signalLabels(alert), 1);
      },
      signalSettled: (signal) => metrics.raised.set(signalLabels(signal), 0),
    },
    read: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

function recordAnswer(metrics: Metrics, answer: AnswerRecord, labelOf: (model: string) => string): void {
  const { outcome, latencyMs, firstTokenMs } = answer;
  const asked = {
    gen_ai_operation_name: answer.operation,
    gen_ai_provider_name: "concord",
    gen_ai_request_model: labelOf(answer.model),
  };
  if (outcome.type === "error") {
    metrics.duration.observe({ ...asked, error_type: outcome.code }, latencyMs / 1000);
    return;
  }
  const answeredBy = outcome.type === "end" ? outcome.report.answeredBy : answer.model;
  const labels = { ...asked, gen_ai_response_model: labelOf(answeredBy) };
  metrics.duration.observe(labels, latencyMs / 1000);
  if (outcome.type === "vectors") {
    metrics.tokens.observe({ ...labels, gen_ai_token_type: "input" }, outcome.promptTokens);
    return;
  }
  const { promptTokens, completionTokens } = outcome.usage;
  metrics.tokens.observe({ ...labels, gen_ai_token_type: "input" }, promptTokens);
  metrics.tokens.observe({ ...labels, gen_ai_token_type: "output" }, completionTokens);
  if (firstTokenMs !== null) {
    metrics.firstToken.observe(labels, firstTokenMs / 1000);
    if (completionTokens > 1) {
      metrics.outputToken.observe(labels, (latencyMs - firstTokenMs) / 1000 / (completionTokens - 1));
    }
  }
  recordReport(metrics, outcome.report, asked);
  recordConfidence(metrics, outcome.confidence);
}

function recordReport(metrics: Metrics, report: AnswerReport, asked: Record<string, string>): void {
  const { jsDivergence, top1Agreement, stateDistance } = report.agreement;
  if (jsDivergence !== null) metrics.divergence.observe(asked, jsDivergence);
  if (top1Agreement !== null) metrics.agreement.observe(asked, top1Agreement);
  if (stateDistance !== null) metrics.distance.observe(asked, stateDistance);
  for (const member of report.members) {
    const label = { concord_member: member.id };
    if (report.members.length > 1) metrics.weight.observe(label, member.weight);
    metrics.compute.observe(label, member.latencyMs / 1000);
    if (member.abstained !== undefined) metrics.abstained.inc(label, member.abstained.positions);
  }
  if (report.members.some(({ lost }) => lost !== undefined)) metrics.degraded.inc(asked);
}

function recordConfidence({ confidence, unknownConfidence }: Metrics, told: Confidence): void {
  if (told.value === null) unknownConfidence.inc({ concord_confidence_gap: told.gap ?? "other" });
  else confidence.observe({ concord_confidence_kind: told.kind }, told.value);
}

function recordRequest({ active, http }: Metrics, request: RequestRecord): void {
  const { method, route, status, latencyMs, error, failed } = request;
  active.dec(activeLabels(method));
  const labels = {
    ...activeLabels(method),
    http_response_status_code: status,
    ...(route !== null && { http_route: route }),
    ...(failed && { error_type: error ?? String(status) }),
  };
  http.observe(labels, latencyMs / 1000);
}

function activeLabels(method: string) {
  return { http_request_method: METHODS.has(method) ? method : OTHER, url_scheme: "http" };
}

function signalLabels({ signal, member }: Pick<Alert, "signal" | "member">) {
  return { concord_signal: signal, ...(member !== null && { concord_member: member }) };
}

function createHealthRecorder({ up, losses, restarts }: Metrics): (health: Health) => void {
  const states = new Map<string, Health["state"]>();
  const lost = new Set<string>();
  return ({ id, state }) => {
    const label = { concord_member: id };
    const before = states.get(id);
    states.set(id, state);
    up.set(label, Number(state === "up"));
    // By 0 too, so that there is a series to count from.
    losses.inc(label, Number(before === "up" && state === "down"));
    restarts.inc(label, Number(state === "up" && lost.has(id)));
    if (state === "up") lost.delete(id);
    else lost.add(id);
  };
}
