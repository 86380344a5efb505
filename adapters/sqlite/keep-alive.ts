import type { Database, Statement } from "better-sqlite3";

/*
 * From Node 24.19 on, a native object of better-sqlite3 12 that the garbage collector frees while the process is idle
 * aborts the process (node::RemoveEnvironmentCleanupHook without an environment); better-sqlite3 13 does not, but needs
 * Node 22. So nothing native may become garbage: databases are kept to the end of the process, and statements as long
 * as their database, one for each text. Repeated statements are also prepared once only.
 */

const databases: Database[] = [];

/** Keeps `database` and all statements that it will prepare. Its SQL must be of a few texts, with values bound. */
export function keepAlive(database: Database): Database {
  databases.push(database);
  const statements = new Map<string, Statement>();
  const prepare = database.prepare.bind(database) as (sql: string) => Statement;
  const kept = (sql: string): Statement => {
    const statement = statements.get(sql) ?? prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const pragma: Database["pragma"] = (source, options) => {
    const statement = kept(`pragma ${source}`);
    if (!statement.reader) return [statement.run()];
    const simple = options?.simple === true;
    return simple ? statement.pluck(true).get() : statement.pluck(false).all();
  };
  return Object.assign(database, { prepare: kept, pragma });
}
