import { existsSync } from "node:fs";
import { recalibrate, type Recalibrated } from "../../src/ensemble/recalibrate.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { createSqliteFeedbackStore } from "../sqlite/better-sqlite3.ts";
import { openDatabase } from "../sqlite/open-database.ts";
import { readCalibration, writeCalibration } from "./calibration-file.ts";
import { calibrationPath } from "./open-confidence.ts";
import { concordPaths } from "./paths.ts";

export interface LogRecalibration {
  /** The calibration that it was made from. */
  readonly from: string;
  readonly rows: readonly Recalibrated[];
  /** Logged answers with a forecast, judged or not. */
  readonly answers: number;
}

/** Fits the calibration in use again on the log's judged answers; writes it where anything has changed. */
export async function recalibrateFromLog(out: string, seed: number): Promise<LogRecalibration> {
  const { database: path } = concordPaths();
  if (!existsSync(path)) {
    throw new Error(`there is no log yet (${path}): answers and feedback are kept by concord serve`);
  }
  const from = await calibrationPath();
  const { book, record } = await readCalibration(from);
  const database = openDatabase(path);
  try {
    const feedback = createSqliteFeedbackStore(database);
    const counts = await feedback.forecastCounts();
    const found = await recalibrate(book, await feedback.judgedForecasts(), createRandom(seed));
    if (found.rows.some(({ changed }) => changed)) {
      const { members, sources } = record;
      await writeCalibration(out, found.book, { seed: record.seed, members, sources });
    }
    const answers = [...counts.values()].reduce((sum, count) => sum + count, 0);
    return { from, rows: found.rows, answers };
  } finally {
    database.close();
  }
}
