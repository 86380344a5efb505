import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { createLogRecord } from "../contracts/log-record.ts";

// Appends to the database `path` until it is killed, and says each id once its request is written.
const [path = ":memory:", prefix = ""] = process.argv.slice(2);
const log = createSqliteAgreementLog(openDatabase(path));
const text = { prompt: "p".repeat(3000), answer: "a".repeat(3000) };

for (let index = 0; ; index++) {
  const requestId = `${prefix}-${index}`;
  await log.append(createLogRecord({ requestId, createdAt: index, members: 3, text }));
  process.stdout.write(`${requestId}\n`);
}
