import type { Database } from "better-sqlite3";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import { createSqliteAgreementLog } from "./better-sqlite3.ts";
import { createLogWriter, type LogWriterOptions } from "./log-writer.ts";
import { createObservationReader, type ObservationReader } from "./observation-reader.ts";
import { openDatabase } from "./open-database.ts";

/** A gateway's log: its file, and the threads that write it and read it. */
export interface OpenLog {
  readonly database: Database;
  /** Closing it closes the threads and the database too. */
  readonly log: AgreementLog;
  readonly observations: ObservationReader;
}

/** @throws Error as `openDatabase` */
export function openLog(options: LogWriterOptions): OpenLog {
  const database = openDatabase(options.path);
  const observations = createObservationReader(options.path);
  const log = createSqliteAgreementLog(database, createLogWriter(options));
  return {
    database,
    observations,
    log: {
      ...log,
      async close() {
        await observations.close();
        await log.close();
      },
    },
  };
}
