import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { SavedReport } from "../../src/dashboard/sources.ts";
import type { SetReport } from "../../src/ensemble/confidence-report.ts";
import { exists } from "./exists.ts";
import type { OpenConfidence } from "./open-confidence.ts";
import { concordPaths } from "./paths.ts";
import { writeWhole } from "./write-whole.ts";

const savedSchema = z.object({
  /** The key of the calibration that it is about. */
  calibration: z.string(),
  createdAt: z.int(),
  sets: z.custom<readonly SetReport[]>(Array.isArray),
});

/** Keeps what was found on questions kept apart, for the dashboard. */
export async function saveReport({ key }: OpenConfidence, { createdAt, sets }: SavedReport): Promise<void> {
  const saved: z.infer<typeof savedSchema> = { calibration: key, createdAt, sets };
  await writeWhole(concordPaths().report, JSON.stringify(saved));
}

/** What was found last; null when that was for another calibration, or nobody has looked. */
export async function readSavedReport({ key }: OpenConfidence): Promise<SavedReport | null> {
  const path = concordPaths().report;
  if (!(await exists(path))) return null;
  const saved = savedSchema.safeParse(JSON.parse(await readFile(path, "utf8"))).data;
  return saved?.calibration === key ? saved : null;
}
