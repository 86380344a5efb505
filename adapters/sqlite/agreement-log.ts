import { and, asc, desc, eq, gte, inArray, sql } from "drizzle-orm";
import type { AgreementLog, LogQuery, LogRecord } from "../../src/ports/agreement-log.ts";
import type { LogConnection, LogDatabase } from "./log-database.ts";
import { recordOf } from "./record-rows.ts";
import { agreementMetrics, requestMembers, requests, requestTexts } from "./schema.ts";

const maximumLimit = 1000;

/** The agreement log over any SQLite that drizzle speaks to; the schema must be there. */
export function createAgreementLog(connection: LogConnection): AgreementLog {
  const { db } = connection;

  return {
    async append(record, trace = null) {
      try {
        await connection.append(record, trace);
      } catch (error) {
        if (!isTakenId(error)) throw error;
        throw new Error(
          `agreement log: request ${record.requestId} is already written; give each request its own id`,
          {
            cause: error,
          },
        );
      }
    },

    async list(query) {
      if (!Number.isInteger(query.limit) || query.limit < 1 || query.limit > maximumLimit) {
        throw new RangeError(
          `agreement log: limit must be a whole number from 1 to ${maximumLimit}, got ${query.limit}`,
        );
      }
      const rows = await db
        .select()
        .from(requests)
        .where(chosenBy(query))
        .orderBy(...orderOf(query))
        .limit(query.limit);
      return readRecords(db, rows);
    },

    async find(requestId) {
      const rows = await db.select().from(requests).where(eq(requests.requestId, requestId));
      const [record] = await readRecords(db, rows);
      return record ?? null;
    },

    close: () => connection.close(),
  };
}

function chosenBy(query: LogQuery) {
  return and(
    query.model === undefined ? undefined : eq(requests.model, query.model),
    query.since === undefined ? undefined : gte(requests.createdAt, query.since),
  );
}

/** SQLite sorts null before every number, so descending order has the answers without a divergence last. */
function orderOf(query: LogQuery) {
  const newest = [desc(requests.createdAt), desc(requests.id)];
  return query.order === "time" ? newest : [desc(requests.jsDivergence), ...newest];
}

/** The records of these ids in `requests`, in their order; without those that there are none of. */
export async function recordsOf(db: LogDatabase, ids: readonly number[]): Promise<LogRecord[]> {
  const rows = await db
    .select()
    .from(requests)
    .where(inArray(requests.id, listed(ids)));
  const order = new Map(ids.map((id, at) => [id, at]));
  return readRecords(
    db,
    rows.toSorted((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0)),
  );
}

/** One bound value however many ids: D1 binds at most 100. */
function listed(ids: readonly number[]) {
  return sql`(select value from json_each(${JSON.stringify(ids)}))`;
}

/** The records of `rows`, in their order. An answer's rows never change, so four plain reads see one state. */
async function readRecords(
  db: LogDatabase,
  rows: readonly (typeof requests.$inferSelect)[],
): Promise<LogRecord[]> {
  if (rows.length === 0) return [];
  const ids = listed(rows.map(({ id }) => id));
  const [members, metrics, texts] = await Promise.all([
    db
      .select()
      .from(requestMembers)
      .where(inArray(requestMembers.request, ids))
      .orderBy(asc(requestMembers.request), asc(requestMembers.position)),
    db.select().from(agreementMetrics).where(inArray(agreementMetrics.request, ids)),
    db.select().from(requestTexts).where(inArray(requestTexts.request, ids)),
  ]);
  const membersOf = groupByRequest(members);
  const metricsOf = groupByRequest(metrics);
  const textOf = groupByRequest(texts);
  return rows.map((request) =>
    recordOf({
      request,
      members: membersOf.get(request.id) ?? [],
      metrics: metricsOf.get(request.id) ?? [],
      text: textOf.get(request.id)?.[0] ?? null,
    }),
  );
}

function groupByRequest<Row extends { readonly request: number }>(rows: readonly Row[]): Map<number, Row[]> {
  const groups = new Map<number, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.request);
    if (group === undefined) groups.set(row.request, [row]);
    else group.push(row);
  }
  return groups;
}

function isTakenId(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return /UNIQUE constraint failed: requests\.request_id/.test(error.message) || isTakenId(error.cause);
}
