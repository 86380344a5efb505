import * as z from "zod";
import { GatewayError } from "../ports/gateway-error.ts";
import type { Probe, ProbeMetrics, ProbeSummary } from "../ports/probe-store.ts";
import { decodeFloat32s, encodeFloat32s } from "./float32-base64.ts";
import { readFields } from "./invalid-field.ts";
import { probeName } from "./probe-schemas.ts";

/** Raise it when a document's fields or their meaning change: older ones are then refused. */
const FORMAT = 1;

/** A probe without its weights, as the API shows it. */
export function probeObject(probe: ProbeSummary) {
  return {
    object: "probe",
    name: probe.name,
    version: probe.version,
    created: Math.floor(probe.createdAt / 1000),
    task: probe.task,
    labels: probe.labels,
    members: probe.members,
    space: probe.space,
    depth: probe.depth,
    dimension: probe.dimension,
    ridge: probe.ridge,
    examples: probe.examples,
    metrics: probe.metrics === null ? null : metricsObject(probe.metrics),
    calibrations: probe.calibrations,
  };
}

function metricsObject(metrics: ProbeMetrics) {
  if (metrics.task === "regression") return metrics;
  const { logLoss, calibrationError, ...rest } = metrics;
  return { ...rest, log_loss: logLoss, calibration_error: calibrationError };
}

/** A whole probe as JSON that another gateway with the same shared space can take. */
export function probeDocument(probe: Probe) {
  const { weights, bias } = probe;
  return {
    ...probeObject(probe),
    object: "probe.export",
    format: FORMAT,
    weights: encodeFloat32s(weights),
    bias: encodeFloat32s(bias),
  };
}

const share = z.number("a share from 0 to 1").min(0, "a share from 0 to 1").max(1, "a share from 0 to 1");
const finite = z.number("a number");
const positive = z.number("a number above 0").positive("a number above 0");
const count = z.int("a whole number from 0").min(0, "a whole number from 0");
const names = z
  .array(z.string("a name").min(1, "a name"), "an array of names")
  .max(4096, "at most 4096 names");
const float32s = z.string("base64 of float32").transform((text, context) => {
  const values = decodeFloat32s(text);
  if (values !== null && values.every(Number.isFinite)) return values;
  context.issues.push({ code: "custom", input: text, message: "base64 of finite float32, little-endian" });
  return z.NEVER;
});

const metrics = z.discriminatedUnion(
  "task",
  [
    z.strictObject({
      task: z.literal("classification"),
      folds: count,
      accuracy: share,
      majority: share,
      log_loss: finite,
      calibration_error: share,
    }),
    z.strictObject({ task: z.literal("regression"), folds: count, r2: finite, rmse: finite }),
  ],
  "null or an object with task",
);

const documentSchema = z.strictObject({
  object: z.literal("probe.export", '"probe.export"'),
  format: z.literal(FORMAT, `${FORMAT}, the format that this version reads`),
  name: probeName,
  version: count,
  created: count,
  task: z.enum(["classification", "regression"], '"classification" or "regression"'),
  labels: names,
  members: names.min(1, "an array of at least one name"),
  space: z.string("the identity of a shared space"),
  depth: z.enum(["middle", "deep"], '"middle" or "deep"'),
  dimension: z.int("a whole number from 1").positive("a whole number from 1"),
  ridge: positive,
  examples: count,
  metrics: metrics.optional(),
  calibrations: z.array(
    z.strictObject({ members: names, temperature: positive }, "an object with members and temperature"),
    "an array of calibrations",
  ),
  weights: float32s,
  bias: float32s,
});

/**
 * Reads what `probeDocument` wrote; its version is the store's to give.
 * @throws GatewayError invalid_request naming the field at fault, or where the sizes do not fit each other
 */
export function readProbeDocument(fields: Readonly<Record<string, unknown>>): Omit<Probe, "version"> {
  const read = readFields(documentSchema, fields);
  const { object: _object, format: _format, version: _version, created, ...probe } = read;
  const outputs = read.task === "regression" ? 1 : read.labels.length;
  if (
    read.task === "regression" ? read.labels.length > 0 : new Set(read.labels).size < Math.max(outputs, 2)
  ) {
    throw misfit("labels", "at least 2 different ones for a classification, none for a regression");
  }
  if (read.bias.length !== outputs) throw misfit("bias", `${outputs} numbers, got ${read.bias.length}`);
  if (read.weights.length !== outputs * read.dimension) {
    throw misfit("weights", `${outputs} × ${read.dimension} numbers, got ${read.weights.length}`);
  }
  return { ...probe, createdAt: created * 1000, metrics: metricsOf(read.metrics, read.task) };
}

function metricsOf(read: z.infer<typeof metrics> | undefined, task: Probe["task"]): ProbeMetrics | null {
  if (read === undefined) return null;
  if (read.task !== task) throw misfit("metrics.task", `"${task}"`);
  if (read.task === "regression") return read;
  const { log_loss: logLoss, calibration_error: calibrationError, ...rest } = read;
  return { ...rest, logLoss, calibrationError };
}

function misfit(param: string, expected: string): GatewayError {
  return new GatewayError("invalid_request", `${param}: expected ${expected}.`, { param });
}
