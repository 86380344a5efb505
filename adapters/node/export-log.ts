import { constants } from "node:fs";
import { open, readFile, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { fileWriter, parquetWriteRows } from "hyparquet-writer";
import { z } from "zod";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { TimeRange } from "../../src/ports/observations.ts";
import type { WalkedPage, WalkPlace } from "../sqlite/records-in-order.ts";
import { exists } from "./exists.ts";
import { CSV_HEADER, csvLine, EXPORT_COLUMNS, parquetRow } from "./export-rows.ts";
import { writeWhole } from "./write-whole.ts";

/*
 * A file that is being exported is called `FILE.part` until it is whole, and `FILE.progress` tells how far it is: after
 * whatever kind of end an export of lines can go on from there.
 */

export const EXPORT_FORMATS = ["jsonl", "csv", "parquet"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
/** Formats that can be written piece by piece, and gone on with. */
export type LineFormat = Exclude<ExportFormat, "parquet">;

export interface ExportTask {
  /** From where an earlier export ended; null: from the beginning. */
  pages(after: WalkPlace | null): AsyncIterable<WalkedPage>;
  readonly signal: AbortSignal;
  /** Told how many answers the file has, now and then. */
  readonly onProgress: (answers: number) => void;
}

/** What is exported: an export is gone on with only where both are the same. */
export interface ExportIdentity {
  readonly format: LineFormat;
  /** The filters as they were asked for: `--since 24h --model concord`. */
  readonly asked: string;
}

/** Where whoever reads lines takes them. */
export interface LineSink {
  /** False: nobody reads any more. */
  write(text: string): Promise<boolean>;
}

/** How far an export is. */
export interface ExportStart extends ExportIdentity {
  /** What `asked` came to. */
  readonly range: TimeRange;
  /** Null: at its beginning. */
  readonly done: {
    /** Of the file, that are whole records. */
    readonly bytes: number;
    readonly answers: number;
    /** Of the last of them; null without any. */
    readonly place: WalkPlace | null;
  } | null;
}

const whole = z.number().int();
const progressFields: z.ZodType<ExportStart> = z.object({
  format: z.enum(["jsonl", "csv"]),
  asked: z.string(),
  range: z.object({ from: whole, to: whole }),
  done: z
    .object({ bytes: whole, answers: whole, place: z.object({ at: whole, id: whole }).nullable() })
    .nullable(),
});

const partPath = (file: string): string => `${file}.part`;
const progressPath = (file: string): string => `${file}.progress`;
const pagesANote = 20;

/** One record as the format has it. */
export function lineOf(format: LineFormat, record: LogRecord): string {
  return format === "csv" ? csvLine(record) : `${JSON.stringify(record)}\n`;
}

function headOf(format: LineFormat): string {
  return format === "csv" ? CSV_HEADER : "";
}

/** @throws Error when there is something of that name, or an export of it that can be gone on with */
export async function checkUnused(file: string): Promise<void> {
  if (await exists(file)) throw new Error(`${file} is there already: remove it, or choose another name`);
  if (await exists(progressPath(file))) {
    throw new Error(
      `${file}: an export was interrupted and can go on with --resume; or remove ${progressPath(file)} and ${partPath(file)}`,
    );
  }
}

/**
 * Where an earlier export of the same ended; null where there was none.
 * @throws Error when the file is there and whole, or is a part of another export
 */
export async function unfinishedExport(
  file: string,
  { format, asked }: ExportIdentity,
): Promise<ExportStart | null> {
  if (await exists(file)) throw new Error(`${file} is whole: there is nothing to go on with`);
  const note = progressPath(file);
  if (!(await exists(note))) return null;
  const progress = progressFields.safeParse(jsonIn(await readFile(note, "utf8"))).data;
  if (progress === undefined) {
    throw new Error(
      `${note}: expected the notes of an export, got something else; remove it and ${partPath(file)}`,
    );
  }
  if (progress.format === format && progress.asked === asked) return progress;
  throw new Error(
    `${file}: expected to go on with the same export (${told(progress)}), got another (${told({ format, asked })}); ask for the same, or remove ${note} and ${partPath(file)}`,
  );
}

function told({ format, asked }: ExportIdentity): string {
  return asked === "" ? `${format} of all` : `${format} of ${asked}`;
}

/** Writes a file of lines. Killed or interrupted, it can go on after the last record that was noted. @returns how many answers it has */
export async function exportLines(file: string, start: ExportStart, task: ExportTask): Promise<number> {
  const { format, done } = start;
  const head = headOf(format);
  const handle =
    done === null ? await create(partPath(file), head) : await openAt(partPath(file), done.bytes);
  let { answers, bytes, place } = done ?? { answers: 0, bytes: Buffer.byteLength(head), place: null };
  const note = async (): Promise<void> => {
    await handle.sync();
    const reached: ExportStart = { ...start, done: { answers, bytes, place } };
    await writeWhole(progressPath(file), JSON.stringify(reached));
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
      if (++pages % pagesANote === 0 || task.signal.aborted) await note();
      task.signal.throwIfAborted();
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rm(progressPath(file));
  await rename(partPath(file), file);
  return answers;
}

/** Writes lines to where they are read at once. @returns how many answers it were */
export async function streamLines(format: LineFormat, sink: LineSink, task: ExportTask): Promise<number> {
  let answers = 0;
  if (!(await sink.write(headOf(format)))) return answers;
  for await (const { records } of task.pages(null)) {
    task.signal.throwIfAborted();
    if (!(await sink.write(records.map((record) => lineOf(format, record)).join("")))) break;
    answers += records.length;
    task.onProgress(answers);
  }
  return answers;
}

async function create(path: string, head: string): Promise<FileHandle> {
  const handle = await open(path, "w");
  await handle.writeFile(head);
  return handle;
}

/** What was written after the last note is cut off. */
async function openAt(path: string, bytes: number): Promise<FileHandle> {
  const { size } = await stat(path);
  if (size < bytes) {
    throw new Error(`${path}: expected the ${bytes} bytes that were exported, got ${size}; export it anew`);
  }
  const handle = await open(path, constants.O_RDWR | constants.O_APPEND);
  await handle.truncate(bytes);
  return handle;
}

const rowsAGroup = 20_000;

/** Writes a Parquet file, of which nothing has the name before it is whole. @returns how many answers it has */
export async function exportParquet(file: string, task: ExportTask): Promise<number> {
  const part = partPath(file);
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
      writer: fileWriter(part),
      rows: rows(),
      columns: EXPORT_COLUMNS.map(({ name, type, nullable }) => ({ name, type, nullable })),
      rowGroupSize: rowsAGroup,
      createdBy: "concord",
    });
    const handle = await open(part, "r+");
    await handle.sync();
    await handle.close();
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  return answers;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
