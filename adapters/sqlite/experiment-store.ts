import { and, asc, desc, eq, getTableColumns, gt, inArray, isNotNull, sql } from "drizzle-orm";
import type {
  ArmCount,
  Experiment,
  ExperimentStore,
  Exposure,
  Judgement,
} from "../../src/ports/experiments.ts";
import type { StoreConnection } from "./log-database.ts";
import { experiments, exposureCounts, exposures, feedback } from "./experiment-schema.ts";

/** Rows that are read at once: a few milliseconds, after which others may go on. */
const PAGE = 5000;

type ExperimentRow = typeof experiments.$inferSelect;

const { id: _id, firstArm: _firstArm, ...exposureColumns } = getTableColumns(exposures);

const said = {
  feedbackRow: feedback.id,
  value: sql<number>`${feedback.number}`,
  saidAt: feedback.createdAt,
};
const heard = {
  arm: exposures.arm,
  firstArm: exposures.firstArm,
  unit: exposures.unit,
  requestId: exposures.requestId,
  answerId: exposures.answerId,
  endedAt: exposures.endedAt,
  promptCharacters: exposures.promptCharacters,
};

const idOf = (name: string) =>
  sql<number>`(select ${experiments.id} from ${experiments} where ${experiments.name} = ${name})`;

/** Experiments in any SQLite that drizzle speaks to; the schema must be there. Who opened the database closes it. */
export function createExperimentStore({ db, commit }: StoreConnection): ExperimentStore {
  async function row(name: string): Promise<ExperimentRow> {
    const [found] = await db.select().from(experiments).where(eq(experiments.name, name));
    if (found === undefined) throw new Error(`experiment store: there is no experiment ${name}`);
    return found;
  }

  /** Numbers that were said of one answer. */
  const ofAnswers = (id: number, name: string, metric: string) =>
    pages(async (after) =>
      db
        .select({ ...said, ...heard })
        .from(feedback)
        .innerJoin(exposures, eq(exposures.answerId, feedback.answerId))
        .where(
          and(
            eq(feedback.experiment, name),
            eq(feedback.metric, metric),
            gt(feedback.id, after),
            inArray(feedback.kind, ["boolean", "number"]),
            eq(exposures.experiment, id),
          ),
        )
        .orderBy(asc(feedback.id))
        .limit(PAGE),
    );

  /** What the right choice makes of every arm's choice; a request has at most 16 answers, so that a page ends with whole ones. */
  async function* ofDemonstrations(id: number, name: string) {
    const demonstrations = pages(async (after) =>
      db
        .select({ ...said, requestId: feedback.requestId })
        .from(feedback)
        .where(
          and(
            eq(feedback.experiment, name),
            eq(feedback.metric, "demonstration"),
            gt(feedback.id, after),
            isNotNull(feedback.number),
          ),
        )
        .orderBy(asc(feedback.id))
        .limit(PAGE),
    );
    for await (const group of inGroups(demonstrations, PAGE)) {
      const asked = new Map(group.map((one) => [one.requestId, one]));
      const ids = sql`(select value from json_each(${JSON.stringify([...asked.keys()])}))`;
      const answers = await db
        .select({ ...heard, chosen: exposures.chosen })
        .from(exposures)
        .where(
          and(inArray(exposures.requestId, ids), eq(exposures.experiment, id), isNotNull(exposures.chosen)),
        );
      for (const { chosen, ...answer } of answers) {
        const { value: right, ...demonstration } = asked.get(answer.requestId) ?? { value: null };
        if (right === null || !("saidAt" in demonstration)) continue;
        yield { ...demonstration, ...answer, value: Number(chosen === right) };
      }
    }
  }

  /** Numbers that were said of a unit: they are of the arm that it met first. */
  const ofUnits = (id: number, name: string, metric: string) =>
    pages(async (after) =>
      db
        .select({ ...said, ...heard })
        .from(feedback)
        .innerJoin(
          exposures,
          eq(
            exposures.id,
            sql`(select min(e.id) from ${exposures} e where e.unit = ${feedback.unit} and e.experiment = ${id} and e.role = 'returned')`,
          ),
        )
        .where(
          and(
            eq(feedback.experiment, name),
            eq(feedback.metric, metric),
            gt(feedback.id, after),
            isNotNull(feedback.unit),
          ),
        )
        .orderBy(asc(feedback.id))
        .limit(PAGE),
    );

  return {
    async create(experiment) {
      const created = await db
        .insert(experiments)
        .values(rowOf(experiment))
        .onConflictDoNothing()
        .returning({ id: experiments.id });
      return created.length > 0;
    },

    async list() {
      const rows = await db
        .select()
        .from(experiments)
        .orderBy(desc(experiments.createdAt), desc(experiments.id));
      return rows.map(experimentOf);
    },

    async update(experiment, from) {
      const { name, ...values } = rowOf(experiment);
      const updated = await db
        .update(experiments)
        .set(values)
        .where(and(eq(experiments.name, name), eq(experiments.state, from)))
        .returning({ id: experiments.id });
      return updated.length > 0;
    },

    async remove(name) {
      const removed = await db
        .delete(experiments)
        .where(and(eq(experiments.name, name), eq(experiments.state, "draft")))
        .returning({ id: experiments.id });
      return removed.length > 0;
    },

    async expose(exposure) {
      const { experiment: name, arm, role, unit, allocation, status } = exposure;
      const experiment = idOf(name);
      const earlier = sql`from ${exposures} where ${exposures.unit} = ${unit} and ${exposures.experiment} = ${experiment} and ${exposures.role} = 'returned'`;
      const isFirst = sql<number>`${role} = 'returned' and not exists (select 1 ${earlier})`;
      const firstArm = sql<string>`coalesce((select ${exposures.firstArm} ${earlier} order by ${exposures.id} limit 1), ${arm})`;
      await commit([
        // Before the exposure, which would be one of the earlier ones.
        db
          .insert(exposureCounts)
          .values({ experiment, arm, allocation, role, status, answers: 1, units: isFirst })
          .onConflictDoUpdate({
            target: [
              exposureCounts.experiment,
              exposureCounts.arm,
              exposureCounts.allocation,
              exposureCounts.role,
              exposureCounts.status,
            ],
            set: {
              answers: sql`${exposureCounts.answers} + 1`,
              units: sql`${exposureCounts.units} + excluded.units`,
            },
          }),
        db.insert(exposures).values({ ...exposure, experiment, firstArm }),
      ]);
    },

    async exposures(answerId) {
      const found = await db
        .select({ ...exposureColumns, experiment: experiments.name })
        .from(exposures)
        .innerJoin(experiments, eq(experiments.id, exposures.experiment))
        .where(
          eq(
            exposures.requestId,
            sql`(select ${exposures.requestId} from ${exposures} where ${exposures.answerId} = ${answerId})`,
          ),
        )
        .orderBy(asc(exposures.id));
      return found satisfies Exposure[];
    },

    async experimentsOf(unit) {
      const found = await db
        .selectDistinct({ name: experiments.name })
        .from(exposures)
        .innerJoin(experiments, eq(experiments.id, exposures.experiment))
        .where(and(eq(exposures.unit, unit), eq(exposures.role, "returned")));
      return found.map(({ name }) => name);
    },

    async counts(name) {
      const { experiment: _experiment, ...columns } = getTableColumns(exposureCounts);
      const { id } = await row(name);
      const found = await db.select(columns).from(exposureCounts).where(eq(exposureCounts.experiment, id));
      return found satisfies ArmCount[];
    },

    async judgements(name, metric) {
      const { id, definition } = await row(name);
      const found: (Judgement & { readonly order: number })[] = [];
      const demonstrated = new Set<string>();
      const add = (
        judged: HeardOf & { readonly feedbackRow: number; readonly value: number; readonly saidAt: number },
        requestId: string | null,
      ): void => {
        const { arm, firstArm, unit, value, promptCharacters, saidAt, endedAt, feedbackRow } = judged;
        // What a unit got from another arm after the weights were changed says nothing of its first.
        if (definition.mode === "split" && arm !== firstArm) return;
        const at = Math.max(saidAt, endedAt);
        found.push({ arm, unit, requestId, value, at, promptCharacters, order: feedbackRow });
      };
      if (metric === "correct") {
        for await (const judged of ofDemonstrations(id, name)) {
          demonstrated.add(judged.answerId);
          add(judged, judged.requestId);
        }
      }
      for await (const judged of ofAnswers(id, name, metric)) {
        if (!demonstrated.has(judged.answerId)) add(judged, judged.requestId);
      }
      for await (const judged of ofUnits(id, name, metric)) add(judged, null);
      return found
        .sort((a, b) => a.at - b.at || a.order - b.order)
        .map(({ order: _order, ...judgement }): Judgement => judgement);
    },
  };
}

interface HeardOf {
  readonly arm: string;
  readonly firstArm: string;
  readonly unit: string;
  readonly answerId: string;
  readonly requestId: string;
  readonly endedAt: number;
  readonly promptCharacters: number;
}

/** Reads page after page and lets others go on between them. */
async function* pages<Row extends { readonly feedbackRow: number }>(
  read: (after: number) => Promise<readonly Row[]>,
): AsyncGenerator<Row> {
  for (let after = 0, full = true; full;) {
    const rows = await read(after);
    yield* rows;
    after = rows.at(-1)?.feedbackRow ?? after;
    full = rows.length >= PAGE;
    if (full) await new Promise((resolve) => setTimeout(resolve));
  }
}

async function* inGroups<T>(rows: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const one of rows) {
    group.push(one);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

function rowOf(experiment: Experiment): Omit<ExperimentRow, "id"> {
  const { name, state, createdAt, startedAt, stoppedAt, winner, allocations, ...definition } = experiment;
  return { name, state, createdAt, startedAt, stoppedAt, winner, allocations, definition };
}

function experimentOf({ id: _row, definition, ...rest }: ExperimentRow): Experiment {
  return { ...definition, ...rest };
}
