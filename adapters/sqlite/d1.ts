import type { D1Database } from "@cloudflare/workers-types";
import { drizzle } from "drizzle-orm/d1";
import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import type { Observations, ObservationWriter } from "../../src/ports/observations.ts";
import type { ProbeStore } from "../../src/ports/probe-store.ts";
import type { ExperimentStore, FeedbackStore } from "../../src/ports/experiments.ts";
import { createAgreementLog } from "./agreement-log.ts";
import { createObservations, createObservationWriter } from "./observations.ts";
import { createExperimentStore } from "./experiment-store.ts";
import { createFeedbackStore } from "./feedback-store.ts";
import { createProbeStore } from "./probe-store.ts";
import { answerInserts } from "./record-rows.ts";

/** The agreement log in a D1 database that has the migrations; a D1 batch is one transaction. */
export function createD1AgreementLog(database: D1Database): AgreementLog {
  return createAgreementLog({
    db: drizzle(database),
    append: async (record, trace) => {
      const inserts = answerInserts(record, trace);
      await database.batch(inserts.map(({ sql, values }) => database.prepare(sql).bind(...values)));
    },
    close: async () => {},
  });
}

/** Observations in a D1 database: without rollups, so that a range of more than 20,000 answers is told from a sample. */
export function createD1Observations(database: D1Database): Observations & ObservationWriter {
  const db = drizzle(database);
  return {
    ...createObservations(db, { rollups: false, bytes: () => null }),
    ...createObservationWriter({
      db,
      commit: async (inserts) => {
        await db.batch(inserts);
      },
    }),
  };
}

/** Experiments in a D1 database that has the migrations. */
export function createD1ExperimentStore(database: D1Database): ExperimentStore {
  const db = drizzle(database);
  return createExperimentStore({
    db,
    commit: async (inserts) => {
      await db.batch(inserts);
    },
  });
}

/** Feedback in a D1 database that has the migrations. */
export function createD1FeedbackStore(database: D1Database): FeedbackStore {
  return createFeedbackStore(drizzle(database));
}

/** Probes in a D1 database that has the migrations. */
export function createD1ProbeStore(database: D1Database): ProbeStore {
  return createProbeStore(drizzle(database));
}
