import { expect, test } from "vitest";
import {
  createSqliteAgreementLog,
  createSqliteObservations,
  createSqliteObservationWriter,
  createSqliteExperimentStore,
  createSqliteFeedbackStore,
  createSqliteProbeStore,
} from "../../adapters/sqlite/better-sqlite3.ts";
import { openDatabase } from "../../adapters/sqlite/open-database.ts";
import { describeAgreementLog } from "../contracts/agreement-log.ts";
import { describeObservations } from "../contracts/observations.ts";
import { describeExperimentStores } from "../contracts/experiment-store.ts";
import { describeProbeStore } from "../contracts/probe-store.ts";

describeAgreementLog("better-sqlite3", async () => createSqliteAgreementLog(openDatabase(":memory:")));

describeObservations("better-sqlite3", async () => {
  const database = openDatabase(":memory:");
  return {
    log: createSqliteAgreementLog(database),
    observations: { ...createSqliteObservations(database), ...createSqliteObservationWriter(database) },
    feedback: createSqliteFeedbackStore(database),
  };
});

describeProbeStore("better-sqlite3", async () => createSqliteProbeStore(openDatabase(":memory:")));

describeExperimentStores("better-sqlite3", async () => {
  const database = openDatabase(":memory:");
  return {
    experiments: createSqliteExperimentStore(database),
    feedback: createSqliteFeedbackStore(database),
  };
});

test("of more similarities than are read at once, those of windows spaced evenly come, the newest among them", async () => {
  const database = openDatabase(":memory:");
  const hour = 3_600_000;
  const insert = database.prepare(
    `insert into layer_similarities (start, "end", member_a, member_b, layer_a, layer_b, value, positions)
      values (?, ?, 'a', 'b', ?, 0, 0.5, 256)`,
  );
  for (let window = 0; window < 30; window++) {
    for (let layer = 0; layer < 500; layer++) insert.run(window * hour, (window + 1) * hour, layer);
  }
  const found = await createSqliteObservations(database).similarities({ from: 0, to: 30 * hour });
  const starts = [...new Set(found.map(({ start }) => start))];
  expect(found).toHaveLength(20 * 500);
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  expect(starts.at(-1)).toBe(29 * hour);
  expect(starts[0]).toBeLessThan(2 * hour);
  database.close();
});
