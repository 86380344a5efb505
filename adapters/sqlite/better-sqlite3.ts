import type { Database } from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import type { ProbeStore } from "../../src/ports/probe-store.ts";
import type { ExperimentStore, FeedbackStore } from "../../src/ports/experiments.ts";
import { createAgreementLog, type LogConnection } from "./agreement-log.ts";
import { createExperimentStore } from "./experiment-store.ts";
import { createFeedbackStore } from "./feedback-store.ts";
import { createProbeStore } from "./probe-store.ts";

/** The agreement log in a SQLite file that `openDatabase` opened. Closing the log closes the database. */
export function createSqliteAgreementLog(database: Database): AgreementLog {
  return createAgreementLog({
    db: drizzle(database),
    commit: committer(database),
    close: async () => {
      database.close();
    },
  });
}

// Immediate: a second writer waits at the start (busy_timeout) and not in the middle, where SQLite refuses to.
const committer =
  (database: Database): LogConnection["commit"] =>
  async (inserts) => {
    database
      .transaction(() => {
        for (const insert of inserts) insert.run();
      })
      .immediate();
  };

/** Experiments in a SQLite file that `openDatabase` opened. */
export function createSqliteExperimentStore(database: Database): ExperimentStore {
  return createExperimentStore({ db: drizzle(database), commit: committer(database) });
}

/** Feedback in a SQLite file that `openDatabase` opened. */
export function createSqliteFeedbackStore(database: Database): FeedbackStore {
  return createFeedbackStore(drizzle(database));
}

/** Probes in a SQLite file that `openDatabase` opened. */
export function createSqliteProbeStore(database: Database): ProbeStore {
  return createProbeStore(drizzle(database));
}
