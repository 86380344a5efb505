import { startServer } from "../../adapters/node/server.ts";
import { openLog } from "../../adapters/sqlite/open-log.ts";
import { KEEP_EVERYTHING } from "../../adapters/sqlite/upkeep.ts";
import { createGateway } from "../../src/gateway/app.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { answerRequests } from "../harness/script.ts";
import { createInstantEngine } from "./instant-engine.ts";

/*
 * The product's gateway, server and log in a process of its own, with an engine that answers at once. The log is the
 * file that CONCORD_BENCH_LOG names; without it nothing is logged.
 */

const path = process.env["CONCORD_BENCH_LOG"];
const log =
  path === undefined ? null : openLog({ path, retention: KEEP_EVERYTHING, onUpkeepError: console.error }).log;
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
