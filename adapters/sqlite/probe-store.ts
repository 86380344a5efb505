import { and, asc, desc, eq, getTableColumns, sql } from "drizzle-orm";
import type { Probe, ProbeStore } from "../../src/ports/probe-store.ts";
import type { LogDatabase } from "./log-database.ts";
import { probes } from "./schema.ts";

const { id: _id, weights, bias, ...summary } = getTableColumns(probes);

/** Probes in any SQLite that drizzle speaks to; the schema must be there. Who opened the database closes it. */
export function createProbeStore(db: LogDatabase): ProbeStore {
  return {
    async add(probe) {
      // In the statement itself, so that two writers never take the same number.
      const version = sql<number>`(select coalesce(max(${probes.version}), 0) + 1 from ${probes} where ${probes.name} = ${probe.name})`;
      const [row] = await db
        .insert(probes)
        .values({ ...probe, version })
        .returning({ version: probes.version });
      if (row === undefined) throw new Error(`probe store: ${probe.name} was not written`);
      return { ...probe, version: row.version };
    },

    list: async (name) =>
      db
        .select(summary)
        .from(probes)
        .where(name === undefined ? undefined : eq(probes.name, name))
        .orderBy(asc(probes.name), desc(probes.version)),

    async find(name, version) {
      const [row] = await db
        .select({ ...summary, weights, bias })
        .from(probes)
        .where(and(eq(probes.name, name), version === undefined ? undefined : eq(probes.version, version)))
        .orderBy(desc(probes.version))
        .limit(1);
      return (row satisfies Probe | undefined) ?? null;
    },

    async remove(name) {
      const removed = await db.delete(probes).where(eq(probes.name, name)).returning({ id: probes.id });
      return removed.length;
    },
  };
}
