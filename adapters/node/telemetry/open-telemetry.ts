import type { MetricsText } from "../../../src/gateway/metrics.ts";
import type { Telemetry } from "../../../src/ports/telemetry.ts";
import { joinTelemetry } from "./join.ts";
import { createLog, logTelemetry, type Log, type LogOptions } from "./log.ts";
import type { OtlpProtocol, OtlpTraces } from "./otlp.ts";
import { createPrometheusMetrics, type PrometheusOptions } from "./prometheus.ts";

export interface TelemetryOptions extends LogOptions, PrometheusOptions {
  /** The base of a collector's OTLP paths, such as `http://127.0.0.1:4318`; absent: what `env` says. */
  readonly otlpEndpoint?: string | undefined;
  /** Concord's. */
  readonly version: string;
  readonly env?: NodeJS.ProcessEnv | undefined;
}

export interface OpenTelemetry {
  readonly log: Log;
  readonly telemetry: Telemetry;
  metrics(): Promise<MetricsText>;
  /** Sends what has not been sent; false where a collector did not take it in time: it is still waited for. */
  close(): Promise<boolean>;
}

/** The log, the metrics, and traces where a collector is named. @throws Error when it cannot be spoken to in the way asked for */
export async function openTelemetry(options: TelemetryOptions): Promise<OpenTelemetry> {
  const log = createLog(options);
  const prometheus = createPrometheusMetrics(options);
  const traces = await openTraces(options, log);
  const listeners = [prometheus.telemetry, logTelemetry(log), ...(traces === null ? [] : [traces])];
  const onFailure = (error: unknown): void => log.error({ err: error }, "telemetry failed");
  return {
    log,
    telemetry: joinTelemetry(listeners, onFailure),
    metrics: prometheus.read,
    close: async () => traces?.close() ?? true,
  };
}

/** OpenTelemetry is loaded only where traces are asked for: it takes some 100 ms and 20 MB. */
async function openTraces(
  { otlpEndpoint, version, env = process.env }: TelemetryOptions,
  log: Log,
): Promise<OtlpTraces | null> {
  const own = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] || undefined;
  const base = otlpEndpoint || env["OTEL_EXPORTER_OTLP_ENDPOINT"] || undefined;
  if (own === undefined && base === undefined) return null;
  if (/^true$/i.test(env["OTEL_SDK_DISABLED"] ?? "")) return null;
  const exporter = env["OTEL_TRACES_EXPORTER"] || "otlp";
  if (exporter === "none") return null;
  if (exporter !== "otlp") {
    throw new Error(`OTEL_TRACES_EXPORTER: expected otlp or none, got ${exporter}`);
  }
  const url = own ?? `${base?.replace(/\/+$/, "")}/v1/traces`;
  if (!/^https?:/.test(url) || !URL.canParse(url)) {
    throw new Error(
      `The OTLP endpoint: expected the http or https address of a collector, got ${own ?? base}`,
    );
  }
  const { openOtlpTraces } = await import("./otlp.ts");
  return openOtlpTraces({ url, protocol: protocolOf(env), version, log });
}

function protocolOf(env: NodeJS.ProcessEnv): OtlpProtocol {
  const asked = env["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] || env["OTEL_EXPORTER_OTLP_PROTOCOL"];
  if (!asked || asked === "http/protobuf") return "http/protobuf";
  if (asked === "http/json") return "http/json";
  throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf or http/json, got ${asked}`);
}
