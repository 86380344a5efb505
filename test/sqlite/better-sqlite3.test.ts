import {
  createSqliteAgreementLog,
  createSqliteExperimentStore,
  createSqliteFeedbackStore,
  createSqliteProbeStore,
} from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { describeAgreementLog } from "../contracts/agreement-log.ts";
import { describeExperimentStores } from "../contracts/experiment-store.ts";
import { describeProbeStore } from "../contracts/probe-store.ts";

describeAgreementLog("better-sqlite3", async () => createSqliteAgreementLog(openDatabase(":memory:")));

describeProbeStore("better-sqlite3", async () => createSqliteProbeStore(openDatabase(":memory:")));

describeExperimentStores("better-sqlite3", async () => {
  const database = openDatabase(":memory:");
  return {
    experiments: createSqliteExperimentStore(database),
    feedback: createSqliteFeedbackStore(database),
  };
});
