import { createSqliteAgreementLog } from "../../adapters/sqlite/better-sqlite3.ts";
import { createLogWriter } from "../../adapters/sqlite/log-writer.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { KEEP_EVERYTHING } from "../../adapters/sqlite/upkeep.ts";
import { createLogRecord } from "../contracts/log-record.ts";

// Appends to the database `path` as the gateway does, some at a time, until it is killed, and says each id once its request is written.
const AT_A_TIME = 4;
const [path = ":memory:", prefix = ""] = process.argv.slice(2);
const database = openDatabase(path);
const writer = createLogWriter({ path, retention: KEEP_EVERYTHING, onUpkeepError: console.error });
const log = createSqliteAgreementLog(database, writer);
const text = { prompt: "p".repeat(3000), answer: "a".repeat(3000) };

async function append(first: number): Promise<void> {
  for (let index = first; ; index += AT_A_TIME) {
    const requestId = `${prefix}-${index}`;
    await log.append(createLogRecord({ requestId, createdAt: index, members: 3, text }));
    process.stdout.write(`${requestId}\n`);
  }
}

await Promise.all(Array.from({ length: AT_A_TIME }, (_, first) => append(first)));
