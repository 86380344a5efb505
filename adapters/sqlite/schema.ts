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
import type { AnswerTrace } from "../../src/ports/answer-trace.ts";
import type { ProbeMetrics, ProbeSummary } from "../../src/ports/probe-store.ts";

/** What better-sqlite3 (a view on a buffer) and D1 (bytes one by one) give. */
type DriverBytes = Uint8Array | ArrayBuffer | number[];

const bytes = customType<{ data: Uint8Array; driverData: DriverBytes }>({
  dataType: () => "blob",
  fromDriver: (stored) => Uint8Array.from(new Uint8Array(stored)),
});

/** Numbers as float32, little-endian. */
export const float32s = customType<{ data: Float32Array; driverData: DriverBytes }>({
  dataType: () => "blob",
  toDriver(values) {
    const view = new DataView(new ArrayBuffer(4 * values.length));
    values.forEach((value, at) => view.setFloat32(4 * at, value, true));
    return new Uint8Array(view.buffer);
  },
  fromDriver(stored) {
    const view = new DataView(Uint8Array.from(new Uint8Array(stored)).buffer);
    return Float32Array.from({ length: view.byteLength / 4 }, (_, at) => view.getFloat32(4 * at, true));
  },
});

/** Answers, sum of weights, answers with abstentions, answers with a loss. */
export type MemberSums = readonly [answers: number, weight: number, abstentions: number, losses: number];

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
    /** Nats. */
    jsDivergence: real("js_divergence"),
    /** Null in rows from before the metrics were columns: they are in `agreement_metrics` until they are folded. */
    positions: integer("positions"),
    top1Agreement: real("top1_agreement"),
    stateDistance: real("state_distance"),
    bitsPerByte: real("bits_per_byte"),
    /** Nats. */
    entropy: real("entropy"),
    /** In [0, 1]. */
    confidence: real("confidence"),
    confidenceKind: text("confidence_kind", { enum: ["choice", "short_answer"] }),
    /** Whether a member was lost on the way. Null where `positions` is. */
    degraded: integer("degraded", { mode: "boolean" }),
    experiment: text("experiment"),
    arm: text("arm"),
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

/**
 * One row per answer and metric, of answers from before these were columns of `requests`; a metric that there was nothing
 * to compute from has no row. Nothing is added, and folding empties it.
 */
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

/** One row per answer of one token at least: see trace-bytes.ts. */
export const requestTraces = sqliteTable("request_traces", {
  request: integer("request")
    .primaryKey()
    .references(() => requests.id, { onDelete: "cascade" }),
  /** Divergence, log-probability and weights, a byte each. */
  numbers: bytes("numbers").notNull(),
  /** The tokens and the members' choices; null unless text is kept. */
  tokens: text("tokens", { mode: "json" }).$type<AnswerTrace["tokens"]>(),
});

/**
 * One row per width (a minute, an hour, a day), bucket, and who was asked and answered. Better-sqlite3's log alone keeps
 * them, in the transaction that adds the answer. Sums of sums: rows of a width add up to those of the next.
 */
export const rollups = sqliteTable(
  "rollups",
  {
    widthMs: integer("width_ms").notNull(),
    start: integer("start").notNull(),
    model: text("model").notNull(),
    answeredBy: text("answered_by").notNull(),
    degraded: integer("degraded", { mode: "boolean" }).notNull(),
    /** Empty outside experiments, as the arm is. */
    experiment: text("experiment").notNull(),
    arm: text("arm").notNull(),
    answers: integer("answers").notNull(),
    promptTokens: integer("prompt_tokens").notNull(),
    completionTokens: integer("completion_tokens").notNull(),
    /** Quantile sketches: see src/stats/quantile-sketch.ts. */
    latency: bytes("latency").notNull(),
    firstToken: bytes("first_token").notNull(),
    divergenceAnswers: integer("divergence_answers").notNull(),
    divergenceSum: real("divergence_sum").notNull(),
    top1Answers: integer("top1_answers").notNull(),
    top1Sum: real("top1_sum").notNull(),
    distanceAnswers: integer("distance_answers").notNull(),
    distanceSum: real("distance_sum").notNull(),
    confidenceAnswers: integer("confidence_answers").notNull(),
    confidenceSum: real("confidence_sum").notNull(),
    /** By member. */
    members: text("members", { mode: "json" }).$type<Readonly<Record<string, MemberSums>>>().notNull(),
  },
  (table) => [
    primaryKey({
      columns: [
        table.widthMs,
        table.start,
        table.model,
        table.answeredBy,
        table.degraded,
        table.experiment,
        table.arm,
      ],
    }),
  ],
);

/** Debiased CKA of two members' layers over one window of live traffic. */
export const layerSimilarities = sqliteTable(
  "layer_similarities",
  {
    start: integer("start").notNull(),
    end: integer("end").notNull(),
    memberA: text("member_a").notNull(),
    memberB: text("member_b").notNull(),
    layerA: integer("layer_a").notNull(),
    layerB: integer("layer_b").notNull(),
    value: real("value").notNull(),
    positions: integer("positions").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.start, table.memberA, table.memberB, table.layerA, table.layerB] }),
  ],
);

/** Signals that moved. */
export const alerts = sqliteTable(
  "alerts",
  {
    id: integer("id").primaryKey(),
    at: integer("at").notNull(),
    signal: text("signal").notNull(),
    member: text("member"),
    direction: text("direction", { enum: ["up", "down"] }).notNull(),
    value: real("value").notNull(),
    reference: real("reference").notNull(),
    falseAlarmRate: real("false_alarm_rate").notNull(),
  },
  (table) => [index("alerts_by_time").on(table.at)],
);

/** How far work on the log is that goes on in the background, by name. */
export const logProgress = sqliteTable("log_progress", {
  name: text("name", { enum: ["fold_next", "fold_end"] }).primaryKey(),
  value: integer("value").notNull(),
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
