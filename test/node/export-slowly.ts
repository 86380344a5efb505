import { exportLines, unfinishedExport } from "../../adapters/node/export-log.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { recordsInOrder } from "../../adapters/sqlite/records-in-order.ts";

/*
 * Exports the log at argv[3] to argv[2], or goes on with that, a page at a time with a pause after each, and says when it
 * has begun: to be killed.
 */
const [, , file = "", path = ""] = process.argv;
const database = openDatabase(path);
const identity = { format: "jsonl", asked: "" } as const;
const range = { from: Number.MIN_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER };
const start = (await unfinishedExport(file, identity)) ?? { ...identity, range, done: null };

async function* slowly(...given: Parameters<typeof recordsInOrder>) {
  for await (const page of recordsInOrder(...given)) {
    process.stdout.write(".");
    yield page;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

await exportLines(file, start, {
  pages: (after) => slowly(database, start.range, {}, after),
  signal: new AbortController().signal,
  onProgress: () => {},
});
// Whole: the test expected to kill it before.
process.exit(1);
