import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { foldSome } from "../../adapters/sqlite/upkeep.ts";

// Folds the database `path`, a few answers at a time, until it is killed, and says how many are left.
const [path = ":memory:"] = process.argv.slice(2);
const database = openDatabase(path);

for (;;) process.stdout.write(`${foldSome(database, 3)}\n`);
