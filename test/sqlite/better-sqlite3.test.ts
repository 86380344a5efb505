import { createSqliteAgreementLog, createSqliteProbeStore } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { describeAgreementLog } from "../contracts/agreement-log.ts";
import { describeProbeStore } from "../contracts/probe-store.ts";

describeAgreementLog("better-sqlite3", async () => createSqliteAgreementLog(openDatabase(":memory:")));

describeProbeStore("better-sqlite3", async () => createSqliteProbeStore(openDatabase(":memory:")));
