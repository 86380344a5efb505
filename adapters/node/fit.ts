import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { TappedStates } from "../../src/ensemble/collect-states.ts";
import { splitCorpus } from "../../src/ensemble/corpus.ts";
import { evaluateTexts } from "../../src/ensemble/evaluate-text.ts";
import { fitSpace } from "../../src/ensemble/fit-space.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";
import { createOnnxProduct } from "./onnx-product.ts";
import { joinMembers } from "./open-ensemble.ts";
import { openMembers, type OpenOptions } from "./open-members.ts";
import { asStored, SPACE_VERSION, writeSpace, type SpaceRecord } from "./space-file.ts";

export const DEFAULT_CORPUS = fileURLToPath(new URL("../../data/corpus/wikitext2.txt", import.meta.url));

export interface FitRequest extends OpenOptions {
  /** A text, its documents separated by blank lines. */
  readonly corpus: string;
  /** Where the map goes. */
  readonly output: string;
  readonly dimension: number;
  readonly seed: number;
  readonly eigenvalueFloor: number;
  /** Keep states of tapped layers, to compare the members. */
  readonly report: boolean;
}

export interface FitOutcome {
  readonly record: SpaceRecord;
  readonly members: readonly ModelInfo[];
  /** Of each member; empty without `report`. */
  readonly taps: readonly TappedStates[];
}

/** Places in the text at which layers are compared: more changes the third digit and costs its square. */
const TAPPED_PLACES = 1500;

/** Fits a shared space on a text, measures it on the documents held back, and writes it. */
export async function fitToFile(request: FitRequest): Promise<FitOutcome> {
  const { corpus, output, dimension, seed, eigenvalueFloor, progress } = request;
  const bytes = await readFile(corpus);
  const split = splitCorpus(bytes.toString("utf8"), seed);
  const opened = await openMembers(request);
  try {
    const members = opened.members.map(({ model }) => model.info);
    const fit = await fitSpace({
      members: opened.members,
      corpus: split,
      dimension,
      eigenvalueFloor,
      taps: request.report ? members.map(tappedLayers) : [],
      tappedPlaces: TAPPED_PLACES,
      multiply: await createOnnxProduct(),
      clock: systemClock,
      progress,
    });
    const record: SpaceRecord = {
      version: SPACE_VERSION,
      dimension,
      seed,
      eigenvalueFloor,
      members: members.map(({ id, weightsHash, width }, m) => ({
        id,
        weightsHash,
        width,
        weight: fit.space.members[m]?.weight ?? 0,
      })),
      corpus: {
        name: basename(corpus),
        sha256: createHash("sha256").update(bytes).digest("hex"),
        fitDocuments: split.fit.length,
        fitTokens: fit.fitTokens,
        chooseDocuments: split.choose.length,
        choosePositions: fit.choosePositions,
        reportDocuments: split.report.length,
      },
      explainedVariance: fit.explainedVariance,
      heldOut: [],
    };
    const joined = await joinMembers(opened, asStored(fit.space, record), request);
    try {
      const options = { clock: systemClock, progress };
      record.heldOut.push(...(await evaluateTexts(joined.ensemble, split.report, options)));
    } finally {
      await joined.close();
    }
    await writeSpace(output, fit.space, record);
    return { record, members, taps: fit.taps };
  } finally {
    await opened.close();
  }
}

/** Every third layer and the ends. */
function tappedLayers({ layers }: ModelInfo): number[] {
  return Array.from({ length: layers + 1 }, (_, layer) => layer).filter(
    (layer) => layer % 3 === 0 || layer === layers,
  );
}
