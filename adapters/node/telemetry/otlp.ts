import {
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Span as OtelSpan,
  type Tracer,
} from "@opentelemetry/api";
import { setGlobalErrorHandler, W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { silentSpan, type Attributes, type Span } from "../../../src/ports/span.ts";
import type { Telemetry, TraceParent } from "../../../src/ports/telemetry.ts";
import type { Log } from "./log.ts";

export type OtlpProtocol = "http/protobuf" | "http/json";

export interface OtlpOptions {
  /** Where spans are posted. */
  readonly url: string;
  readonly protocol: OtlpProtocol;
  /** Concord's. */
  readonly version: string;
  readonly log: Log;
}

export interface OtlpTraces {
  readonly startTrace: Telemetry["startTrace"];
  /** Sends what is left, for `FLUSH_MS` at most; false where the collector has not taken it then, which is still waited for. */
  close(): Promise<boolean>;
}

/** A collector that is away or hangs holds up a stop for so long. */
const FLUSH_MS = 2000;
/** A collector that is away is told of once in this time. */
const WARN_EVERY_MS = 60_000;

/**
 * Traces to an OTLP collector over HTTP, in batches that are sent beside the answers: with a collector that is away or hangs
 * spans are dropped once 2048 wait. Sampling, limits, batches, headers and the resource are set by OpenTelemetry's own
 * variables (OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, …). Nothing global is
 * registered but the sink of OpenTelemetry's own warnings.
 */
export function openOtlpTraces({ url, protocol, version, log }: OtlpOptions): OtlpTraces {
  warnBy(log);
  const exporter = protocol === "http/json" ? new JsonExporter({ url }) : new ProtobufExporter({ url });
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ "service.name": "concord", "service.version": version }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  const tracer = provider.getTracer("concord", version);
  return {
    startTrace(name, attributes, parent) {
      const kind = SpanKind.SERVER;
      return spanOf(
        tracer,
        tracer.startSpan(name, { kind, attributes: told(attributes) }, contextOf(parent)),
      );
    },
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), FLUSH_MS)));
      const sent = provider.shutdown().then(
        () => true,
        () => true,
      );
      const inTime = await Promise.race([sent, late]);
      clearTimeout(timer);
      return inTime;
    },
  };
}

function spanOf(tracer: Tracer, span: OtelSpan): Span {
  if (!span.isRecording()) return silentSpan;
  const context = trace.setSpan(ROOT_CONTEXT, span);
  return {
    recording: true,
    traceId: span.spanContext().traceId,
    child(name, attributes = {}, startMs) {
      const options = { attributes: told(attributes), ...(startMs !== undefined && { startTime: startMs }) };
      return spanOf(tracer, tracer.startSpan(name, options, context));
    },
    note: (attributes) => void span.setAttributes(told(attributes)),
    end(error, endMs) {
      if (error !== undefined) {
        const message = error instanceof Error ? error.message : String(error);
        span.setStatus({ code: SpanStatusCode.ERROR, message });
      }
      span.end(endMs);
    },
  };
}

const propagator = new W3CTraceContextPropagator();

function contextOf(parent: TraceParent) {
  return propagator.extract(ROOT_CONTEXT, parent, {
    keys: () => ["traceparent", "tracestate"],
    get: (carrier: TraceParent, key) => (key === "traceparent" ? carrier.traceparent : carrier.tracestate),
  });
}

function told(attributes: Attributes): Record<string, string | number | boolean | string[]> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => {
      if (value === undefined) return [];
      return [[name, typeof value === "object" ? [...value] : value]];
    }),
  );
}

function silent(): void {}

/** What goes wrong with OpenTelemetry goes to the log, seldom. */
function warnBy(log: Log): void {
  let lastMs = -Infinity;
  const warn = (message: string): void => {
    const now = performance.now();
    if (now - lastMs < WARN_EVERY_MS) return;
    lastMs = now;
    log.warn({ about: "traces" }, `traces: ${message}`);
  };
  diag.setLogger(
    { error: warn, warn, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler((error) => warn(error instanceof Error ? error.message : String(error)));
}
