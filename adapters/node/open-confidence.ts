import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CalibratedSet } from "../../src/dashboard/sources.ts";
import type { ConfidenceBook } from "../../src/ensemble/confidence.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { applicable, readCalibration } from "./calibration-file.ts";
import { exists } from "./exists.ts";
import { concordPaths } from "./paths.ts";
import { modelsKey, spaceHash } from "./score-keys.ts";

/** The calibration that comes with Concord, for the members that the manifest names. */
export const SHIPPED_CALIBRATION = fileURLToPath(
  new URL("../../data/calibration/default.safetensors", import.meta.url),
);

/** The calibration that `concord calibrate` writes; where there is one it is used instead. */
export function fittedCalibrationPath(): string {
  return join(concordPaths().maps, "calibration.safetensors");
}

export interface OpenConfidence {
  readonly path: string;
  /** Of the calibration, the members and the maps in use. */
  readonly key: string;
  /** What of it holds for the members and maps in use. */
  readonly book: ConfidenceBook;
}

/** The calibration in use: your own where there is one. */
export async function calibrationPath(): Promise<string> {
  const own = fittedCalibrationPath();
  return (await exists(own)) ? own : SHIPPED_CALIBRATION;
}

/**
 * What is known of how often these members' answers are right.
 * @param given a calibration other than the one in use
 * @throws Error when the file is no usable calibration
 */
export async function openConfidence(
  ensemble: Ensemble,
  given?: string | undefined,
): Promise<OpenConfidence> {
  const path = given ?? (await calibrationPath());
  const file = await readCalibration(path);
  const book = applicable(
    file,
    ensemble.members.map(({ info }) => info),
    spaceHash(ensemble.space),
  );
  const hash = createHash("sha256").update(await readFile(path));
  return { path, key: modelsKey(ensemble, hash.digest("hex")), book };
}

/** What confidences were calibrated on, for people. */
export function calibratedSets({ book }: OpenConfidence): CalibratedSet[] {
  return [
    ...book.choices.map(({ name, items, deciders }) => ({
      name,
      kind: "choice" as const,
      items,
      deciders: deciders.map(({ head }) => head.memberIds),
    })),
    ...book.answers.map(({ name, calibrated, judges }) => ({
      name,
      kind: "short_answer" as const,
      items: calibrated,
      deciders: judges.map(({ memberIds }) => memberIds),
    })),
  ];
}
