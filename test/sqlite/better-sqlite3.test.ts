import {
  createSqliteAgreementLog,
  createSqliteObservations,
  createSqliteObservationWriter,
  createSqliteExperimentStore,
  createSqliteFeedbackStore,
  createSqliteProbeStore,
} from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { describeAgreementLog } from "../contracts/agreement-log.ts";
import { describeObservations } from "../contracts/observations.ts";
import { describeExperimentStores } from "../contracts/experiment-store.ts";
import { describeProbeStore } from "../contracts/probe-store.ts";

describeAgreementLog("better-sqlite3", async () => createSqliteAgreementLog(openDatabase(":memory:")));

describeObservations("better-sqlite3", async () => {
  const database = openDatabase(":memory:");
  return {
    log: createSqliteAgreementLog(database),
    observations: { ...createSqliteObservations(database), ...createSqliteObservationWriter(database) },
    feedback: createSqliteFeedbackStore(database),
  };
});

describeProbeStore("better-sqlite3", async () => createSqliteProbeStore(openDatabase(":memory:")));

describeExperimentStores("better-sqlite3", async () => {
  const database = openDatabase(":memory:");
  return {
    experiments: createSqliteExperimentStore(database),
    feedback: createSqliteFeedbackStore(database),
  };
});
