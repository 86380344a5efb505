import type { Database } from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import type { ProbeStore } from "../../src/ports/probe-store.ts";
import { createAgreementLog } from "./agreement-log.ts";
import { createProbeStore } from "./probe-store.ts";

/** The agreement log in a SQLite file that `openDatabase` opened. Closing the log closes the database. */
export function createSqliteAgreementLog(database: Database): AgreementLog {
  return createAgreementLog({
    db: drizzle(database),
    // Immediate: a second writer waits at the start (busy_timeout) and not in the middle, where SQLite refuses to.
    commit: async (inserts) => {
      database
        .transaction(() => {
          for (const insert of inserts) insert.run();
        })
        .immediate();
    },
    close: async () => {
      database.close();
    },
  });
}

/** Probes in a SQLite file that `openDatabase` opened. */
export function createSqliteProbeStore(database: Database): ProbeStore {
  return createProbeStore(drizzle(database));
}
