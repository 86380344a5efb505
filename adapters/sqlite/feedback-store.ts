import { and, asc, count, eq, isNotNull, or } from "drizzle-orm";
import type {
  Feedback,
  FeedbackStore,
  FeedbackValue,
  JudgeableAnswer,
  JudgedForecast,
} from "../../src/ports/experiments.ts";
import type { LogDatabase } from "./log-database.ts";
import { feedback, judgeableAnswers } from "./experiment-schema.ts";
import { requests, requestTexts } from "./schema.ts";

type FeedbackRow = typeof feedback.$inferSelect;
type AnswerRow = typeof judgeableAnswers.$inferSelect;

/** Feedback in any SQLite that drizzle speaks to; the schema must be there. Who opened the database closes it. */
export function createFeedbackStore(db: LogDatabase): FeedbackStore {
  return {
    async give(given, revise) {
      const row = rowOf(given);
      const [added] = await db
        .insert(feedback)
        .values(row)
        .onConflictDoNothing({ target: feedback.key })
        .returning({ id: feedback.feedbackId });
      if (added !== undefined) return { id: added.id, outcome: "new" };
      const [there] = await db.select().from(feedback).where(eq(feedback.key, given.key));
      if (there === undefined) throw new Error(`feedback store: ${given.key} was not written`);
      const id = there.feedbackId;
      if (says(there) === says(row)) return { id, outcome: "same" };
      if (!revise) return { id, outcome: "conflict" };
      const { kind, number, text, tags } = row;
      // When it came stays: a correction does not change the order of the samples.
      await db.update(feedback).set({ kind, number, text, tags }).where(eq(feedback.key, given.key));
      return { id, outcome: "revised" };
    },

    async about(answerId) {
      const rows = await db
        .select()
        .from(feedback)
        .where(eq(feedback.answerId, answerId))
        .orderBy(asc(feedback.id));
      return rows.map(feedbackOf);
    },

    async remember({ at, forecast, ...answer }) {
      const probabilities = forecast === null ? null : Float32Array.from(forecast.probabilities);
      await db
        .insert(judgeableAnswers)
        .values({ ...answer, createdAt: at, forecastBy: forecast?.by ?? null, probabilities });
    },

    async judgeable(answerId) {
      const [row] = await db.select().from(judgeableAnswers).where(eq(judgeableAnswers.answerId, answerId));
      return row === undefined ? null : answerOf(row);
    },

    async judgedForecasts() {
      const columns = { answer: judgeableAnswers, metric: feedback.metric, number: feedback.number };
      const told = and(isNotNull(feedback.number), isNotNull(judgeableAnswers.forecastBy));
      const directly = await db
        .select(columns)
        .from(feedback)
        .innerJoin(judgeableAnswers, eq(judgeableAnswers.answerId, feedback.answerId))
        .where(and(eq(feedback.metric, "correct"), told))
        .orderBy(asc(feedback.id));
      const byDemonstration = await db
        .select(columns)
        .from(feedback)
        .innerJoin(judgeableAnswers, eq(judgeableAnswers.requestId, feedback.requestId))
        .where(and(eq(feedback.metric, "demonstration"), told))
        .orderBy(asc(feedback.id));
      const judged = new Map<number, JudgedForecast>();
      for (const { answer, metric, number } of [...directly, ...byDemonstration]) {
        const { chosen, forecast } = answerOf(answer);
        if (forecast === null) continue;
        const before = judged.get(answer.id) ?? { ...forecast, chosen, label: null, correct: null };
        judged.set(
          answer.id,
          metric === "correct" ? { ...before, correct: number === 1 } : { ...before, label: number },
        );
      }
      return [...judged].sort(([a], [b]) => a - b).map(([, forecast]) => forecast);
    },

    async forecastCounts() {
      const rows = await db
        .select({ by: judgeableAnswers.forecastBy, answers: count() })
        .from(judgeableAnswers)
        .where(isNotNull(judgeableAnswers.forecastBy))
        .groupBy(judgeableAnswers.forecastBy);
      return new Map(rows.map(({ by, answers }) => [by ?? "", answers]));
    },

    async examples(metric) {
      const rows = await db
        .select({ row: feedback, prompt: requestTexts.prompt, answer: requestTexts.answer })
        .from(feedback)
        .innerJoin(requests, eq(requests.requestId, feedback.answerId))
        .innerJoin(requestTexts, eq(requestTexts.request, requests.id))
        .where(and(eq(feedback.metric, metric), or(isNotNull(feedback.number), isNotNull(feedback.text))))
        .orderBy(asc(feedback.id));
      return rows.map(({ row, prompt, answer }) => ({ prompt, answer, value: valueOf(row) }));
    },
  };
}

function rowOf({ id, at, target, value, ...rest }: Feedback): Omit<FeedbackRow, "id"> {
  const about =
    target.kind === "unit"
      ? { answerId: null, requestId: null, unit: target.unit }
      : { answerId: target.answerId, requestId: target.requestId, unit: null };
  return { ...rest, ...about, feedbackId: id, createdAt: at, kind: value.kind, ...partsOf(value) };
}

function partsOf(value: FeedbackValue): Pick<FeedbackRow, "number" | "text"> {
  switch (value.kind) {
    case "boolean":
      return { number: Number(value.value), text: null };
    case "number":
      return { number: value.value, text: null };
    case "comment":
      return { number: null, text: value.text };
    case "demonstration":
      return { number: value.choice, text: value.text };
  }
}

function valueOf({ kind, number, text }: FeedbackRow): FeedbackValue {
  switch (kind) {
    case "boolean":
      return { kind, value: number === 1 };
    case "number":
      return { kind, value: number ?? 0 };
    case "comment":
      return { kind, text: text ?? "" };
    case "demonstration":
      return { kind, text: text ?? "", choice: number };
  }
}

function feedbackOf(row: FeedbackRow): Feedback {
  const { feedbackId, key, experiment, answerId, requestId, unit, metric, tags, createdAt } = row;
  return {
    id: feedbackId,
    key,
    experiment,
    target:
      answerId === null || requestId === null
        ? { kind: "unit", unit: unit ?? "" }
        : { kind: "answer", answerId, requestId },
    metric,
    value: valueOf(row),
    tags,
    at: createdAt,
  };
}

/** What makes two feedbacks the same one. */
function says(row: Omit<FeedbackRow, "id">): string {
  const { answerId, requestId, unit, experiment, metric, kind, number, text } = row;
  return JSON.stringify([answerId, requestId, unit, experiment, metric, kind, number, text]);
}

function answerOf({ id: _id, createdAt, forecastBy, probabilities, ...answer }: AnswerRow): JudgeableAnswer {
  const forecast =
    forecastBy === null || probabilities === null
      ? null
      : { by: forecastBy, probabilities: Array.from(probabilities) };
  return { ...answer, at: createdAt, forecast };
}
