export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** Numbers stand right. */
  readonly align: "left" | "right";
  /** Columns with the highest number are left out first when the table is too wide; 0 always stays. */
  readonly expendable: number;
}

const gap = "  ";

/** A line of titles and a line per row, at most `width` characters wide where leaving out columns can do that. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
): string[] {
  const sized = columns.map((column) => {
    const cells = rows.map(column.cell);
    return { column, cells, size: Math.max(column.title.length, ...cells.map((cell) => cell.length)) };
  });
  const shown = fitting(sized, width);
  const line = (textOf: (column: (typeof shown)[number]) => string): string =>
    shown
      .map((column) => {
        const text = textOf(column);
        return column.column.align === "right" ? text.padStart(column.size) : text.padEnd(column.size);
      })
      .join(gap)
      .trimEnd();
  return [
    line(({ column }) => column.title),
    ...rows.map((_, index) => line(({ cells }) => cells[index] ?? "")),
  ];
}

function fitting<Sized extends { readonly column: Column<never>; readonly size: number }>(
  columns: readonly Sized[],
  width: number,
): readonly Sized[] {
  const total = columns.reduce((sum, { size }) => sum + size, 0) + gap.length * (columns.length - 1);
  const first = Math.max(...columns.map(({ column }) => column.expendable));
  if (total <= width || first === 0) return columns;
  return fitting(
    columns.filter(({ column }) => column.expendable !== first),
    width,
  );
}
