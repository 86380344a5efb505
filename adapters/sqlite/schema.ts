import {
  customType,
  index,
  integer,
  primaryKey,
  real,
  sqliteTable,
  text,
  unique,
} from "drizzle-orm/sqlite-core";
import type { AnySQLiteColumn } from "drizzle-orm/sqlite-core";
import type { ProbeMetrics, ProbeSummary } from "../../src/ports/probe-store.ts";

/** One row per finished answer. Inside the database an answer is known by its integer `id`. */
export const requests = sqliteTable(
  "requests",
  {
    id: integer("id").primaryKey(),
    requestId: text("request_id").notNull().unique(),
    /** Milliseconds since the Unix epoch. */
    createdAt: integer("created_at").notNull(),
    endpoint: text("endpoint", { enum: ["chat.completions", "completions", "ask"] }).notNull(),
    model: text("model").notNull(),
    /** Null in rows from before it was kept: then `model` answered. */
    answeredBy: text("answered_by"),
    /** Why one member alone answered for the ensemble; null where none did. */
    notFused: text("not_fused"),
    promptTokens: integer("prompt_tokens").notNull(),
    completionTokens: integer("completion_tokens").notNull(),
    finishReason: text("finish_reason", { enum: ["stop", "length"] }).notNull(),
    latencyMs: real("latency_ms").notNull(),
    firstTokenMs: real("first_token_ms"),
    /**
     * Sort key: the metric of the same name, nats. It stands here a second time because an index that is read in
     * order of disagreement within one model can only hold columns of one table.
     */
    jsDivergence: real("js_divergence"),
  },
  (table) => [
    index("requests_by_disagreement").on(table.jsDivergence, table.createdAt),
    index("requests_by_model_and_disagreement").on(table.model, table.jsDivergence, table.createdAt),
    index("requests_by_time").on(table.createdAt),
    index("requests_by_model_and_time").on(table.model, table.createdAt),
  ],
);

/** One row per answer and member, in the order of the report. */
export const requestMembers = sqliteTable(
  "request_members",
  {
    request: requestReference(),
    position: integer("position").notNull(),
    member: text("member").notNull(),
    weight: real("weight").notNull(),
    bitsPerByte: real("bits_per_byte"),
    top1Agreement: real("top1_agreement"),
    /** Nats. */
    entropy: real("entropy"),
    latencyMs: real("latency_ms").notNull(),
    abstainedPositions: integer("abstained_positions"),
    abstainedReason: text("abstained_reason"),
    /** Tokens of the answer before the member was lost; null where it was there to the end. */
    lostPosition: integer("lost_position"),
    lostReason: text("lost_reason"),
  },
  (table) => [primaryKey({ columns: [table.request, table.position] })],
);

export const agreementMetricNames = [
  "positions",
  "js_divergence",
  "top1_agreement",
  "state_distance",
  "bits_per_byte",
  "entropy",
] as const;

/** One row per answer and metric; a metric that there was nothing to compute from has no row. */
export const agreementMetrics = sqliteTable(
  "agreement_metrics",
  {
    request: requestReference(),
    metric: text("metric", { enum: agreementMetricNames }).notNull(),
    value: real("value").notNull(),
  },
  (table) => [primaryKey({ columns: [table.request, table.metric] })],
);

/** Prompt and answer: one row per answer whose text is kept, none by default. */
export const requestTexts = sqliteTable("request_texts", {
  request: integer("request")
    .primaryKey()
    .references(() => requests.id, { onDelete: "cascade" }),
  prompt: text("prompt").notNull(),
  answer: text("answer").notNull(),
});

/** Numbers as float32, little-endian. Reading takes what better-sqlite3 (a view on a buffer) and D1 (bytes one by one) give. */
export const float32s = customType<{ data: Float32Array; driverData: Uint8Array | ArrayBuffer | number[] }>({
  dataType: () => "blob",
  toDriver(values) {
    const bytes = new DataView(new ArrayBuffer(4 * values.length));
    values.forEach((value, at) => bytes.setFloat32(4 * at, value, true));
    return new Uint8Array(bytes.buffer);
  },
  fromDriver(stored) {
    const bytes = Uint8Array.from(new Uint8Array(stored));
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true));
  },
});

/** One row per version of a probe: a linear head on the shared sentence space. Rows are added and removed, never changed. */
export const probes = sqliteTable(
  "probes",
  {
    id: integer("id").primaryKey(),
    name: text("name").notNull(),
    version: integer("version").notNull(),
    /** Milliseconds since the Unix epoch. */
    createdAt: integer("created_at").notNull(),
    task: text("task", { enum: ["classification", "regression"] }).notNull(),
    labels: text("labels", { mode: "json" }).$type<ProbeSummary["labels"]>().notNull(),
    members: text("members", { mode: "json" }).$type<ProbeSummary["members"]>().notNull(),
    space: text("space").notNull(),
    depth: text("depth", { enum: ["middle", "deep"] }).notNull(),
    dimension: integer("dimension").notNull(),
    ridge: real("ridge").notNull(),
    examples: integer("examples").notNull(),
    metrics: text("metrics", { mode: "json" }).$type<ProbeMetrics>(),
    calibrations: text("calibrations", { mode: "json" }).$type<ProbeSummary["calibrations"]>().notNull(),
    /** Row-major (outputs, dimension). */
    weights: float32s("weights").notNull(),
    /** (outputs). */
    bias: float32s("bias").notNull(),
  },
  (table) => [unique("probes_name_version").on(table.name, table.version)],
);

function requestReference() {
  return integer("request")
    .notNull()
    .references((): AnySQLiteColumn => requests.id, { onDelete: "cascade" });
}
