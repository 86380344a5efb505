import type { Child } from "hono/jsx";

export type Scalar = string | number | boolean | null;

export interface Column<Row> {
  /** In files: `latency_ms`. */
  readonly name: string;
  readonly title: string;
  readonly value: (row: Row) => Scalar;
  /** How a page shows it; null: only files have it. Default: the value as text. */
  readonly cell?: ((row: Row) => Child) | null | undefined;
  readonly numeric?: boolean | undefined;
}

/** A table's or a chart's numbers: one thing for the page, for CSV and for JSON. */
export interface Dataset {
  /** In the address of a download and in its file's name. */
  readonly name: string;
  readonly title: string;
  readonly columns: readonly { readonly name: string; readonly title: string; readonly numeric: boolean }[];
  readonly rows: readonly (readonly Scalar[])[];
  /** What a page shows: the columns that are not only for files. */
  readonly shown: readonly { readonly title: string; readonly numeric: boolean }[];
  cells(row: number): Child[];
}

export function dataset<Row>(
  name: string,
  title: string,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
): Dataset {
  const shown = columns.filter(({ cell }) => cell !== null);
  const head = (column: Column<Row>) => ({
    name: column.name,
    title: column.title,
    numeric: column.numeric ?? false,
  });
  return {
    name,
    title,
    columns: columns.map(head),
    rows: rows.map((row) => columns.map(({ value }) => value(row))),
    shown: shown.map(head),
    cells: (i) => {
      const row = rows[i];
      if (row === undefined) throw new RangeError(`dataset ${name}: no row ${i} of ${rows.length}`);
      return shown.map(({ cell, value }) => (cell ?? plain(value))(row));
    },
  };
}

/**
 * RFC 4180, with a header. Text that a spreadsheet would take for a formula begins with an apostrophe.
 */
export function csvOf({ columns, rows }: Dataset): string {
  const lines = [columns.map(({ name }) => name), ...rows];
  return lines.map((line) => `${line.map(csvField).join(",")}\r\n`).join("");
}

export function jsonOf({ name, columns, rows }: Dataset): string {
  const data = rows.map((row) =>
    Object.fromEntries(columns.map((column, i) => [column.name, row[i] ?? null])),
  );
  return `${JSON.stringify({ object: "list", name, data }, null, 1)}\n`;
}

function csvField(value: Scalar): string {
  if (typeof value !== "string") return value === null ? "" : String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function plain<Row>(value: (row: Row) => Scalar): (row: Row) => Child {
  return (row) => {
    const found = value(row);
    return found === null ? "–" : String(found);
  };
}
