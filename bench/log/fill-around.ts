import { createSqliteExperimentStore } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { createRandom } from "../../src/linalg/random.ts";

/** The experiment that `fillLog` has answers of. */
export const FILLED_EXPERIMENT = "fit";

export interface FillAroundOptions {
  readonly seed: number;
  /** The newest answers of the experiment: with an exposure, and judged. */
  readonly exposures: number;
  /** The newest other answers with a confidence: judged. */
  readonly judged: number;
  /** Windows of an hour, back from the newest answer, of all pairs of layers. */
  readonly similarityWindows: number;
  readonly alerts: number;
}

const layers = [31, 19] as const;
const hourMs = 3_600_000;

/** Adds to a log that `fillLog` has filled what lies beside the answers: an experiment, feedback, similarities, alerts. */
export async function fillAround(path: string, options: FillAroundOptions): Promise<void> {
  const database = openDatabase(path);
  const random = createRandom(options.seed).next;
  try {
    const newest =
      database.prepare<[], { at: number }>("select max(created_at) as at from requests").get()?.at ?? 0;
    const from = newest - 30 * 24 * hourMs;
    await createSqliteExperimentStore(database).create({
      name: FILLED_EXPERIMENT,
      description: "Made up.",
      mode: "split",
      arms: ["old", "new"].map((name) => ({ name, model: "concord", weight: 1 })),
      control: "old",
      unit: "request",
      salt: "made up",
      returned: "assigned",
      defaultFor: null,
      metrics: [{ name: "correct", kind: "boolean", bounds: [0, 1], better: "higher" }],
      plan: { alpha: 0.05, units: 10 * options.exposures, minimumEffect: null },
      state: "running",
      createdAt: from,
      startedAt: from,
      stoppedAt: null,
      winner: null,
      allocations: [{ from, weights: { old: 1, new: 1 } }],
    });
    const feedback = database.prepare(
      `insert into feedback (feedback_id, key, experiment, metric, answer_id, request_id, kind, number, tags, created_at)
        values (?, ?, ?, 'correct', ?, ?, 'boolean', ?, '{}', ?)`,
    );
    const judge = (id: string, at: number, experiment: string | null, right: number): void => {
      feedback.run(`fb-${id}`, `answer ${id}`, experiment, id, id, Number(random() < right), at + 1000);
    };
    const exposure = database.prepare(
      `insert into exposures (experiment, request_id, answer_id, arm, role, unit, allocation, assigned_at, ended_at, status,
        latency_ms, completion_tokens, prompt_characters, first_arm)
        values ((select id from experiments where name = ?), ?, ?, ?, 'returned', ?, 0, ?, ?, 'answered', 500, 20, ?, ?)`,
    );
    const count = database.prepare(
      `insert into exposure_counts (experiment, arm, allocation, role, status, answers, units)
        values ((select id from experiments where name = ?), ?, 0, 'returned', 'answered', ?, ?)`,
    );
    type Newest = {
      readonly id: string;
      readonly at: number;
      readonly arm: string;
      readonly confidence: number;
    };
    const newestOf = (condition: string) =>
      database.prepare<[number], Newest>(
        `select request_id as id, created_at as at, arm, confidence from requests
          where ${condition} order by created_at desc limit ?`,
      );
    database.transaction(() => {
      const arms = new Map<string, number>();
      for (const { id, at, arm } of newestOf("experiment is not null").all(options.exposures).toReversed()) {
        arms.set(arm, (arms.get(arm) ?? 0) + 1);
        exposure.run(FILLED_EXPERIMENT, id, id, arm, id, at, at + 500, Math.floor(500 * random()), arm);
        judge(id, at, FILLED_EXPERIMENT, arm === "new" ? 0.72 : 0.7);
      }
      for (const [arm, answers] of arms) count.run(FILLED_EXPERIMENT, arm, answers, answers);
      const told = newestOf("experiment is null and confidence is not null").all(options.judged);
      for (const { id, at, confidence } of told.toReversed()) judge(id, at, null, confidence);
      const similarity = database.prepare(
        `insert into layer_similarities (start, "end", member_a, member_b, layer_a, layer_b, value, positions)
          values (?, ?, 'gemma-3-270m', 'smollm2-135m-instruct', ?, ?, ?, 256)`,
      );
      for (let window = options.similarityWindows; window > 0; window--) {
        const start = newest - window * hourMs;
        for (let a = 0; a < layers[1]; a++)
          for (let b = 0; b < layers[0]; b++) similarity.run(start, start + hourMs - 1, a, b, random());
      }
      const alert = database.prepare(
        `insert into alerts (at, signal, member, direction, value, reference, false_alarm_rate)
          values (?, 'js_divergence', null, 'up', ?, 0.1, 0.000001)`,
      );
      for (let i = options.alerts; i > 0; i--) alert.run(newest - i * 2 * hourMs, random());
    })();
  } finally {
    database.close();
  }
}
