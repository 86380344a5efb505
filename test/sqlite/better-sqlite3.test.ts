import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { describeAgreementLog } from "../contracts/agreement-log.ts";

describeAgreementLog("better-sqlite3", async () => createSqliteAgreementLog(openDatabase(":memory:")));
