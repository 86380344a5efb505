import { index, integer, primaryKey, real, sqliteTable, text, unique } from "drizzle-orm/sqlite-core";
import type { Allocation, ExperimentDefinition, Feedback } from "../../src/ports/experiments.ts";
import { float32s } from "./schema.ts";

const states = ["draft", "running", "paused", "stopped"] as const;
const roles = ["returned", "shadow"] as const;
const statuses = ["answered", "failed", "cancelled", "dropped"] as const;

/** One row per experiment. */
export const experiments = sqliteTable("experiments", {
  id: integer("id").primaryKey(),
  name: text("name").notNull().unique(),
  state: text("state", { enum: states }).notNull(),
  /** Milliseconds since the Unix epoch, as all times here. */
  createdAt: integer("created_at").notNull(),
  startedAt: integer("started_at"),
  stoppedAt: integer("stopped_at"),
  winner: text("winner"),
  definition: text("definition", { mode: "json" }).$type<Omit<ExperimentDefinition, "name">>().notNull(),
  allocations: text("allocations", { mode: "json" }).$type<readonly Allocation[]>().notNull(),
});

/** One row per answer of an arm. It names the agreement log's row by its text id and outlives it. */
export const exposures = sqliteTable(
  "exposures",
  {
    id: integer("id").primaryKey(),
    experiment: experimentReference(),
    requestId: text("request_id").notNull(),
    answerId: text("answer_id").notNull().unique(),
    arm: text("arm").notNull(),
    role: text("role", { enum: roles }).notNull(),
    unit: text("unit").notNull(),
    allocation: integer("allocation").notNull(),
    assignedAt: integer("assigned_at").notNull(),
    endedAt: integer("ended_at").notNull(),
    status: text("status", { enum: statuses }).notNull(),
    latencyMs: real("latency_ms"),
    completionTokens: integer("completion_tokens"),
    chosen: integer("chosen"),
    promptCharacters: integer("prompt_characters").notNull(),
    /** The arm that first answered the unit. */
    firstArm: text("first_arm").notNull(),
  },
  (table) => [
    index("exposures_by_request").on(table.requestId),
    index("exposures_by_unit").on(table.unit, table.experiment),
  ],
);

/** How many exposures of each sort there are, so that nobody has to count millions. */
export const exposureCounts = sqliteTable(
  "exposure_counts",
  {
    experiment: experimentReference(),
    arm: text("arm").notNull(),
    allocation: integer("allocation").notNull(),
    role: text("role", { enum: roles }).notNull(),
    status: text("status", { enum: statuses }).notNull(),
    answers: integer("answers").notNull(),
    units: integer("units").notNull(),
  },
  (table) => [
    primaryKey({
      columns: [table.experiment, table.arm, table.allocation, table.role, table.status],
    }),
  ],
);

/** One row per feedback. */
export const feedback = sqliteTable(
  "feedback",
  {
    id: integer("id").primaryKey(),
    feedbackId: text("feedback_id").notNull(),
    key: text("key").notNull().unique(),
    /** Its name; null outside experiments. */
    experiment: text("experiment"),
    metric: text("metric").notNull(),
    /** What it is about: an answer and its request, or a unit. */
    answerId: text("answer_id"),
    requestId: text("request_id"),
    unit: text("unit"),
    kind: text("kind", { enum: ["boolean", "number", "comment", "demonstration"] }).notNull(),
    /** 0 or 1, a number, or the index of the demonstrated choice. */
    number: real("number"),
    text: text("text"),
    tags: text("tags", { mode: "json" }).$type<Feedback["tags"]>().notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (table) => [
    index("feedback_by_answer").on(table.answerId),
    index("feedback_by_metric").on(table.experiment, table.metric, table.id),
    unique("feedback_id").on(table.feedbackId),
  ],
);

/** One row per answer that feedback can judge: what was forecast, and no text. */
export const judgeableAnswers = sqliteTable(
  "judgeable_answers",
  {
    id: integer("id").primaryKey(),
    answerId: text("answer_id").notNull().unique(),
    requestId: text("request_id").notNull(),
    createdAt: integer("created_at").notNull(),
    /** 64 bits of the sha256 of each choice's value. */
    choices: text("choices", { mode: "json" }).$type<readonly string[]>().notNull(),
    chosen: integer("chosen"),
    forecastBy: text("forecast_by"),
    /** Of each choice, or of one answer. */
    probabilities: float32s("probabilities"),
  },
  (table) => [
    index("judgeable_answers_by_request").on(table.requestId),
    index("judgeable_answers_by_forecast").on(table.forecastBy),
  ],
);

function experimentReference() {
  return integer("experiment")
    .notNull()
    .references(() => experiments.id, { onDelete: "cascade" });
}
