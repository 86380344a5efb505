import { startServer } from "../../adapters/node/server.ts";
import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { createLogWriter } from "../../adapters/sqlite/log-writer.ts";
import { createObservationReader } from "../../adapters/sqlite/observation-reader.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { KEEP_EVERYTHING } from "../../adapters/sqlite/upkeep.ts";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import { createGateway } from "../../src/gateway/app.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { answerRequests } from "../harness/script.ts";
import { createInstantEngine } from "./instant-engine.ts";

/*
 * The product's gateway, server and log in a process of its own, with an engine that answers at once. The log is the
 * file that CONCORD_BENCH_LOG names; without it nothing is logged.
 */

const path = process.env["CONCORD_BENCH_LOG"];
const log = path === undefined ? null : openLog(path);

/** The log as `concord serve` opens it: with the threads that write it and read it. */
function openLog(file: string): Pick<AgreementLog, "append" | "close"> {
  const database = openDatabase(file);
  const observations = createObservationReader(file);
  const writer = createLogWriter({ path: file, retention: KEEP_EVERYTHING, onUpkeepError: console.error });
  const { append, close } = createSqliteAgreementLog(database, writer);
  return {
    append,
    async close() {
      await observations.close();
      await close();
    },
  };
}
const app = createGateway({
  engine: createInstantEngine(log, systemClock),
  clock: systemClock,
  readiness: () => ({ ready: true }),
});
const server = await startServer({ app, host: "127.0.0.1", port: 0 });
answerRequests({ url: async () => server.url }, async () => {
  await server.close();
  await log?.close();
});
