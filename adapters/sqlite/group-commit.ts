import type { Database } from "better-sqlite3";
import type { LogRecord } from "../../src/ports/agreement-log.ts";
import type { AnswerTrace } from "../../src/ports/answer-trace.ts";
import { createTurnBatch } from "../node/turn-batch.ts";
import { countedOf } from "./counted.ts";
import type { LogWriter } from "./log-database.ts";
import { answerInserts } from "./record-rows.ts";
import { createRollupBatch, type RollupGroup } from "./rollups.ts";

interface Waiting {
  readonly record: LogRecord;
  readonly trace: AnswerTrace | null;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Writes answers on the thread that asks, those that end together in one transaction.
 *
 * A transaction has a price of its own: its pages are copied to the write-ahead log and the rollups are read and written
 * anew. So it is begun when all that came in with one turn of the event loop is done: an answer that ends alone waits for
 * nothing, and the more end together the less each costs.
 */
export function createGroupCommit(database: Database): LogWriter {
  /** Whether rows are being written: what fails then may be the fault of one answer, what fails else is nobody's. */
  let writing = false;
  const write = database.transaction((group: readonly Waiting[]) => {
    writing = true;
    const rollups = createRollupBatch();
    for (const { record, trace } of group) {
      for (const { sql, values } of answerInserts(record, trace)) database.prepare(sql).run(...values);
      rollups.add(record.createdAt, groupOf(record), countedOf(record));
    }
    rollups.write(database);
    writing = false;
  });

  function commit(group: readonly Waiting[]): void {
    writing = false;
    try {
      // Immediate: a second writer waits at the start (busy_timeout) and not in the middle, where SQLite refuses to.
      write.immediate(group);
    } catch (error) {
      // Nothing of the group is written. Whose fault it is shows when each is written alone.
      if (writing && group.length > 1) for (const one of group) commit([one]);
      else for (const { reject } of group) reject(error);
      return;
    }
    for (const { resolve } of group) resolve();
  }

  const waiting = createTurnBatch(commit);
  return {
    append: (record, trace) =>
      new Promise((resolve, reject) => {
        waiting.add({ record, trace, resolve, reject });
      }),
    close: async () => waiting.flush(),
  };
}

function groupOf({ model, report, experiment }: LogRecord): RollupGroup {
  return {
    model,
    answeredBy: report.answeredBy,
    degraded: report.members.some(({ lost }) => lost !== undefined),
    experiment: experiment?.name ?? null,
    arm: experiment?.arm ?? null,
  };
}
