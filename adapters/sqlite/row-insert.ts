import { getTableColumns, getTableName } from "drizzle-orm";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";

/** SQL that is one of few texts, so that it is prepared once, and what is bound to it. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** A value for every column, as the table's type has it. */
export type WholeRow<Table extends SQLiteTable> = { readonly [Name in keyof Table["$inferSelect"]]: unknown };

/**
 * Inserts whole rows into `table`. Drizzle builds its SQL anew for every row, at several times what SQLite takes to insert
 * it; here it is built once, and what is bound is what drizzle's columns make of the values.
 * @param lookups by column: the SQL that makes it of the one value, which is bound as it is
 */
export function rowInsert<Table extends SQLiteTable>(
  table: Table,
  lookups: Readonly<Record<string, string>> = {},
): (row: WholeRow<Table>) => Statement {
  const columns = Object.entries(getTableColumns<SQLiteTable>(table)).map(([name, column]) => ({
    name,
    stored: `"${column.name}"`,
    sql: lookups[name] ?? "?",
    bound: (value: unknown): unknown =>
      value === null || name in lookups ? value : column.mapToDriverValue(value),
  }));
  const names = columns.map(({ stored }) => stored).join(", ");
  const sql = `insert into "${getTableName(table)}" (${names}) values (${columns.map((c) => c.sql).join(", ")})`;
  return (row: Readonly<Record<string, unknown>>) => ({
    sql,
    values: columns.map(({ name, bound }) => bound(row[name])),
  });
}
