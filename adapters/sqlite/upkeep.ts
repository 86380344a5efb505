import type { Database } from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { sql } from "drizzle-orm";
import type { Timers } from "../../src/ports/clock.ts";
import { createRollupBatch, ROLLUP_WIDTHS_MS } from "./rollups.ts";
import { answerOf, countedStatement, type CountedRow } from "./windows.ts";

/** What is deleted, the oldest first. Rollups of hours and days stay: they tell nothing of a single answer. */
export interface Retention {
  /** Answers older than this, milliseconds; null: none is too old. */
  readonly maxAgeMs: number | null;
  /** So many that the database, without what is free in it, is no larger; null: as large as the disk. */
  readonly maxBytes: number | null;
}

export const KEEP_EVERYTHING: Retention = { maxAgeMs: null, maxBytes: null };

/** Pages are given back to the disk while so many of all are free, and so many at least. */
const freeShare = 0.05;
const fewestFree = 1024;

/**
 * Moves metrics of some answers from before they were columns into their rows, and counts these answers in the rollups.
 * One transaction with the note of how far it came, so that a kill loses and repeats nothing.
 * @returns how many ids are left
 */
export function foldSome(database: Database, atMost: number): number {
  return database
    .transaction(() => {
      const progress = database.prepare<[string], { value: number }>(
        "select value from log_progress where name = ?",
      );
      const next = progress.get("fold_next")?.value ?? 1;
      const end = progress.get("fold_end")?.value ?? 0;
      if (next > end) return 0;
      const last = Math.min(end, next + atMost - 1);
      const between = sql`r.id between ${next} and ${last}`;
      const rollups = createRollupBatch();
      for (const row of drizzle(database).all<CountedRow>(countedStatement(between))) {
        rollups.add(row.createdAt, { ...row, degraded: row.degraded === 1 }, answerOf(row));
      }
      rollups.write(database);
      database.prepare(foldColumns).run(next, last);
      database.prepare("delete from agreement_metrics where request between ? and ?").run(next, last);
      database.prepare("update log_progress set value = ? where name = 'fold_next'").run(last + 1);
      return end - last;
    })
    .immediate();
}

const metric = (name: string): string =>
  `(select value from agreement_metrics where request = requests.id and metric = '${name}')`;

const foldColumns = `update requests set
  positions = ${metric("positions")}, top1_agreement = ${metric("top1_agreement")},
  state_distance = ${metric("state_distance")}, bits_per_byte = ${metric("bits_per_byte")},
  entropy = ${metric("entropy")},
  degraded = exists (select 1 from request_members where request = requests.id and lost_position is not null)
  where id between ? and ? and positions is null`;

/** Deletes some of what is not to be kept, with all that belongs to it. @returns how many answers */
export function pruneSome(
  database: Database,
  { maxAgeMs, maxBytes }: Retention,
  now: number,
  atMost: number,
): number {
  const before = maxAgeMs === null ? Number.MIN_SAFE_INTEGER : now - maxAgeMs;
  return database
    .transaction(() => {
      const oldest = database.prepare<[number, number], { id: number }>(
        "select id from requests where created_at < ? order by created_at limit ?",
      );
      const tooOld = oldest.all(before, atMost);
      const tooLarge = maxBytes !== null && usedBytes(database) > maxBytes;
      const doomed = tooOld.length === 0 && tooLarge ? oldest.all(Number.MAX_SAFE_INTEGER, atMost) : tooOld;
      if (doomed.length === 0) return 0;
      const ids = JSON.stringify(doomed.map(({ id }) => id));
      database.prepare("delete from requests where id in (select value from json_each(?))").run(ids);
      const left = database
        .prepare<[], { at: number | null }>("select min(created_at) as at from requests")
        .get();
      database
        .prepare("delete from rollups where width_ms = ? and start + width_ms <= ?")
        .run(ROLLUP_WIDTHS_MS[0], left?.at ?? now);
      return doomed.length;
    })
    .immediate();
}

/** Gives some free pages back to the disk, of a file that was made so that it can. @returns whether there are more */
export function vacuumSome(database: Database, pages: number): boolean {
  const pragma = (name: string) => Number(database.pragma(name, { simple: true }));
  const incremental = 2;
  if (pragma("auto_vacuum") !== incremental) return false;
  const excess = () => pragma("freelist_count") - Math.max(fewestFree, freeShare * pragma("page_count"));
  if (excess() <= 0) return false;
  database.exec(`pragma incremental_vacuum(${pages})`);
  return excess() > 0;
}

/** Of the database's pages, those that hold something. */
export function usedBytes(database: Database): number {
  const pragma = (name: string) => Number(database.pragma(name, { simple: true }));
  return pragma("page_size") * (pragma("page_count") - pragma("freelist_count"));
}

export interface UpkeepOptions {
  readonly retention: Retention;
  readonly timers: Timers;
  /** Told of a failure; the work is tried again. */
  readonly onError: (error: unknown) => void;
}

/** Small enough that an answer that is added meanwhile waits for a few milliseconds at most. */
const SLICE = 50;
const VACUUMED_PAGES = 32;
const BETWEEN_SLICES_MS = 25;
const BETWEEN_LOOKS_MS = 60_000;

/**
 * Folds, deletes and gives space back, a slice at a time, on the thread that adds answers: these wait for it there, and
 * nobody else does. Returns how to end it.
 */
export function startUpkeep(database: Database, { retention, timers, onError }: UpkeepOptions): () => void {
  let cancel = timers.after(BETWEEN_SLICES_MS, work);
  function work(): void {
    let more = false;
    try {
      more =
        foldSome(database, SLICE) > 0 ||
        pruneSome(database, retention, timers.now(), SLICE) > 0 ||
        vacuumSome(database, VACUUMED_PAGES);
    } catch (error) {
      onError(error);
    }
    cancel = timers.after(more ? BETWEEN_SLICES_MS : BETWEEN_LOOKS_MS, work);
  }
  return () => cancel();
}
