import type { Database } from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import type { Observations, ObservationWriter } from "../../src/ports/observations.ts";
import type { ProbeStore } from "../../src/ports/probe-store.ts";
import type { ExperimentStore, FeedbackStore } from "../../src/ports/experiments.ts";
import { createAgreementLog } from "./agreement-log.ts";
import { createExperimentStore } from "./experiment-store.ts";
import { createFeedbackStore } from "./feedback-store.ts";
import { createGroupCommit } from "./group-commit.ts";
import type { LogWriter, StoreConnection } from "./log-database.ts";
import { createObservations, createObservationWriter } from "./observations.ts";
import { createProbeStore } from "./probe-store.ts";

/**
 * The agreement log in a SQLite file that `openDatabase` opened. Closing the log closes the database.
 * @param writer writes it. Default: on this thread. A gateway writes on another: see log-writer.ts
 */
export function createSqliteAgreementLog(
  database: Database,
  writer: LogWriter = createGroupCommit(database),
): AgreementLog {
  return createAgreementLog({
    db: drizzle(database),
    append: writer.append,
    close: async () => {
      await writer.close();
      database.close();
    },
  });
}

/** What is measured of the traffic, in a SQLite file that `openDatabase` opened. */
export function createSqliteObservationWriter(database: Database): ObservationWriter {
  return createObservationWriter(connectionOf(database));
}

/** Observations over a connection, on the thread that asks. A gateway reads on another: see observation-reader.ts. */
export function createSqliteObservations(database: Database): Observations {
  const pragma = (name: string) => Number(database.pragma(name, { simple: true }));
  return createObservations(drizzle(database), {
    rollups: true,
    bytes() {
      const pageSize = pragma("page_size");
      return { bytes: pageSize * pragma("page_count"), freeBytes: pageSize * pragma("freelist_count") };
    },
  });
}

function connectionOf(database: Database): StoreConnection {
  return {
    db: drizzle(database),
    // Immediate: a second writer waits at the start (busy_timeout) and not in the middle, where SQLite refuses to.
    commit: async (inserts) => {
      database
        .transaction(() => {
          for (const insert of inserts) insert.run();
        })
        .immediate();
    },
  };
}

/** Experiments in a SQLite file that `openDatabase` opened. */
export function createSqliteExperimentStore(database: Database): ExperimentStore {
  return createExperimentStore(connectionOf(database));
}

/** Feedback in a SQLite file that `openDatabase` opened. */
export function createSqliteFeedbackStore(database: Database): FeedbackStore {
  return createFeedbackStore(drizzle(database));
}

/** Probes in a SQLite file that `openDatabase` opened. */
export function createSqliteProbeStore(database: Database): ProbeStore {
  return createProbeStore(drizzle(database));
}
