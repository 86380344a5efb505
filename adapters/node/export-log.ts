import { constants } from "node:fs";
import { open, readFile, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { fileWriter, parquetWriteRows } from "hyparquet-writer";
import { z } from "zod";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { WalkedPage, WalkPlace } from "../sqlite/records-in-order.ts";
import { CSV_HEADER, csvLine, EXPORT_COLUMNS, parquetRow } from "./export-rows.ts";
import { writeWhole } from "./write-whole.ts";

export const EXPORT_FORMATS = ["jsonl", "csv", "parquet"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
/** Formats that can be written piece by piece, and gone on with. */
export type LineFormat = Exclude<ExportFormat, "parquet">;

export interface ExportTask {
  /** From where an earlier export ended; null: from the beginning. */
  pages(after: WalkPlace | null): AsyncIterable<WalkedPage>;
  /** What is exported, in words: an export is gone on with only where it is the same. */
  readonly selection: string;
  readonly signal: AbortSignal;
  /** Told how many answers were written, now and then. */
  readonly onProgress: (answers: number) => void;
}

/** One record as the format has it. */
export function lineOf(format: LineFormat, record: LogRecord): string {
  return format === "csv" ? csvLine(record) : `${JSON.stringify(record)}\n`;
}

/** What comes before all records. */
export function headOf(format: LineFormat): string {
  return format === "csv" ? CSV_HEADER : "";
}

const progressFile = z.object({
  format: z.string(),
  selection: z.string(),
  /** Of the file, that are whole records. */
  bytes: z.number().int(),
  answers: z.number().int(),
  at: z.number().int(),
  id: z.number().int(),
});
type ExportProgress = z.infer<typeof progressFile>;

/** How far an export is lies beside it until it is whole. */
const progressPath = (file: string): string => `${file}.progress`;
const pagesANote = 20;

/**
 * Writes a file of lines. Killed or interrupted, it goes on with `resume` after the last record that was noted.
 * @returns how many answers the file has
 * @throws Error when the file is there already, or is no part of the same export
 */
export async function exportLines(
  file: string,
  format: LineFormat,
  task: ExportTask,
  resume: boolean,
): Promise<number> {
  const done = resume ? await readProgress(file, format, task) : null;
  const handle = done === null ? await createFile(file, format) : await openAt(file, done.bytes);
  let { answers, bytes } = done ?? { answers: 0, bytes: Buffer.byteLength(headOf(format)) };
  let place: WalkPlace | null = done;
  const note = async (): Promise<void> => {
    await handle.sync();
    const progress: ExportProgress = {
      format,
      selection: task.selection,
      bytes,
      answers,
      ...(place ?? { at: Number.MIN_SAFE_INTEGER, id: 0 }),
    };
    await writeWhole(progressPath(file), JSON.stringify(progress));
  };
  try {
    await note();
    let pages = 0;
    for await (const page of task.pages(place)) {
      const chunk = Buffer.from(page.records.map((record) => lineOf(format, record)).join(""));
      await handle.writeFile(chunk);
      ({ place } = page);
      bytes += chunk.length;
      answers += page.records.length;
      task.onProgress(answers);
      if (++pages % pagesANote === 0) await note();
      if (task.signal.aborted) {
        await note();
        task.signal.throwIfAborted();
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rm(progressPath(file));
  return answers;
}

async function createFile(file: string, format: LineFormat): Promise<FileHandle> {
  try {
    const handle = await open(file, "wx");
    await handle.writeFile(headOf(format));
    return handle;
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
    throw new Error(`${file} is there already: remove it, choose another name, or go on with --resume`, {
      cause: error,
    });
  }
}

/** What was written after the last note is cut off. */
async function openAt(file: string, bytes: number): Promise<FileHandle> {
  const { size } = await stat(file);
  if (size < bytes) {
    throw new Error(`${file}: expected the ${bytes} bytes that were exported, got ${size}; export it anew`);
  }
  const handle = await open(file, constants.O_RDWR | constants.O_APPEND);
  await handle.truncate(bytes);
  return handle;
}

/** Null where nothing was exported yet. */
async function readProgress(
  file: string,
  format: LineFormat,
  { selection }: ExportTask,
): Promise<ExportProgress | null> {
  let text: string;
  try {
    text = await readFile(progressPath(file), "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return null;
    throw error;
  }
  const progress = progressFile.safeParse(JSON.parse(text)).data;
  if (progress?.format === format && progress.selection === selection) return progress;
  throw new Error(
    `${file} is a part of another export (${progress?.format}, ${progress?.selection}) than this one (${format}, ${selection}): ask for the same, or remove it and ${progressPath(file)}`,
  );
}

const rowsAGroup = 20_000;

/** Writes a Parquet file, of which nothing has the name before it is whole. @returns how many answers it has */
export async function exportParquet(file: string, task: ExportTask): Promise<number> {
  const aside = `${file}.${process.pid}.part`;
  let answers = 0;
  async function* rows() {
    for await (const { records } of task.pages(null)) {
      task.signal.throwIfAborted();
      for (const record of records) yield parquetRow(record);
      answers += records.length;
      task.onProgress(answers);
    }
  }
  try {
    await parquetWriteRows({
      writer: fileWriter(aside),
      rows: rows(),
      columns: EXPORT_COLUMNS.map(({ name, type, nullable }) => ({ name, type, nullable })),
      rowGroupSize: rowsAGroup,
      createdBy: "concord",
    });
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  return answers;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
