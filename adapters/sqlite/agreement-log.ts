import { and, asc, desc, eq, gte, inArray, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { BaseSQLiteDatabase } from "drizzle-orm/sqlite-core";
import type { AgreementLog, LogQuery, LogRecord } from "../../src/ports/agreement-log.ts";
import { memberRow, recordOf, requestRow } from "./record-rows.ts";
import { agreementMetrics, requestMembers, requests, requestTexts } from "./schema.ts";

/** What drizzle's databases have in common: better-sqlite3 answers at once, D1 later, and `await` takes both. */
export type LogDatabase = BaseSQLiteDatabase<"sync" | "async", unknown>;

/** Inserts of one answer; the first one writes its row in `requests`. */
export type Inserts = readonly [Insert, ...Insert[]];
type Insert = BatchItem<"sqlite"> & { run(): unknown };

/** What an agreement log needs of a SQLite connection, beside the queries that are the same everywhere. */
export interface LogConnection {
  readonly db: LogDatabase;
  /** Runs all of them in one transaction, in order. */
  commit(inserts: Inserts): Promise<void>;
  close(): Promise<void>;
}

const maximumLimit = 1000;

/** The agreement log over any SQLite that drizzle speaks to; the schema must be there. */
export function createAgreementLog(connection: LogConnection): AgreementLog {
  const { db } = connection;

  return {
    async append(record) {
      try {
        await connection.commit(inserts(db, record));
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

/** The rows of one answer. The integer id is looked up, since D1's batch shows no statement another's result. */
function inserts(db: LogDatabase, record: LogRecord): Inserts {
  const request = sql<number>`(select ${requests.id} from ${requests} where ${requests.requestId} = ${record.requestId})`;
  const { text } = record;
  return [
    db.insert(requests).values(requestRow(record)),
    // One statement per member: D1 binds at most 100 values in one.
    ...record.report.members.map((member, position) =>
      db.insert(requestMembers).values({ request, ...memberRow(member, position) }),
    ),
    ...(text === null ? [] : [db.insert(requestTexts).values({ request, ...text })]),
  ];
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

/** The records of `rows`, in their order. An answer's rows never change, so four plain reads see one state. */
async function readRecords(
  db: LogDatabase,
  rows: readonly (typeof requests.$inferSelect)[],
): Promise<LogRecord[]> {
  if (rows.length === 0) return [];
  // One bound value however many ids: D1 binds at most 100.
  const ids = sql`(select value from json_each(${JSON.stringify(rows.map(({ id }) => id))}))`;
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
