import type { D1Database } from "@cloudflare/workers-types";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll } from "vitest";
import {
  createD1AgreementLog,
  createD1ExperimentStore,
  createD1FeedbackStore,
  createD1Observations,
  createD1ProbeStore,
} from "../../adapters/sqlite/d1.ts";
import { applyMigrations } from "../cloudflare/d1-migrations.ts";
import { describeAgreementLog } from "../contracts/agreement-log.ts";
import { describeExperimentStores } from "../contracts/experiment-store.ts";
import { describeObservations } from "../contracts/observations.ts";
import { describeProbeStore } from "../contracts/probe-store.ts";

const miniflare = new Miniflare({
  modules: true,
  script: "export default {}",
  d1Databases: ["DB"],
});
let database: D1Database;

beforeAll(async () => {
  database = await miniflare.getD1Database("DB");
  await applyMigrations(database);
});
afterAll(() => miniflare.dispose());

describeAgreementLog("D1", async () => {
  await database.prepare("delete from requests").run();
  return createD1AgreementLog(database);
});

describeObservations("D1", async () => {
  for (const table of ["feedback", "judgeable_answers", "requests", "alerts", "layer_similarities"]) {
    await database.prepare(`delete from ${table}`).run();
  }
  return {
    log: createD1AgreementLog(database),
    observations: createD1Observations(database),
    feedback: createD1FeedbackStore(database),
  };
});

describeProbeStore("D1", async () => {
  await database.prepare("delete from probes").run();
  return createD1ProbeStore(database);
});

describeExperimentStores("D1", async () => {
  for (const table of ["feedback", "judgeable_answers", "exposure_counts", "exposures", "experiments"]) {
    await database.prepare(`delete from ${table}`).run();
  }
  return { experiments: createD1ExperimentStore(database), feedback: createD1FeedbackStore(database) };
});
