import type { ConfidenceBook } from "../../src/ensemble/confidence.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { openConfidence } from "./open-confidence.ts";
import { joinMembers } from "./open-ensemble.ts";
import type { OpenMembers, OpenOptions } from "./open-members.ts";
import { checkMembers, readSpace } from "./space-file.ts";

/** The ensemble under another map or calibration. */
export interface Variant {
  /** The model that it answers as. */
  readonly id: string;
  /** A file that `concord fit` wrote. */
  readonly map: string;
  /** A file that `concord calibrate` wrote; absent: the one in use. */
  readonly calibration?: string | undefined;
}

export interface OpenVariant {
  readonly ensemble: Ensemble;
  readonly confidence: ConfidenceBook;
  /** The members stay open. */
  close(): Promise<void>;
}

/**
 * A variant beside the ensemble in use: the members are the same running ones, only the decoder is its own (of 30 to 60 MB).
 * @throws Error when the map or the calibration is none, or is of other members
 */
export async function openVariant(
  running: OpenMembers,
  { map, calibration }: Variant,
  options: OpenOptions,
): Promise<OpenVariant> {
  const { space, record } = await readSpace(map);
  checkMembers(
    map,
    record,
    running.members.map(({ model }) => model.info),
  );
  const { ensemble, close } = await joinMembers(running, { space, routes: record.routes }, options);
  try {
    const { book } = await openConfidence(ensemble, calibration);
    return { ensemble, confidence: book, close };
  } catch (error) {
    await close();
    throw error;
  }
}
