import type { TappedStates } from "../../src/ensemble/collect-states.ts";
import { splitCorpus, takeTokens, type CorpusDocument, type CorpusSplit } from "../../src/ensemble/corpus.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { scoreDocument, type DocumentScore } from "../../src/ensemble/evaluate-text.ts";
import { fitRoutes, textsOfEachDomain } from "../../src/ensemble/fit-routes.ts";
import { fitSpace } from "../../src/ensemble/fit-space.ts";
import { tappedLayers } from "../../src/ensemble/passage-states.ts";
import type { QualityCurves } from "../../src/ensemble/quality-curves.ts";
import { routeOf, type Route } from "../../src/ensemble/route.ts";
import { sumByDomain, type TextScore } from "../../src/ensemble/text-scores.ts";
import { systemClock } from "../../src/ports/clock.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";
import type { Progress } from "../../src/ports/progress.ts";
import { readCorpus } from "./corpus-files.ts";
import { createOnnxDistillation } from "./onnx-distillation.ts";
import { createOnnxProduct } from "./onnx-product.ts";
import { joinMembers } from "./open-ensemble.ts";
import { openMembers, type OpenMembers, type OpenOptions } from "./open-members.ts";
import { asStored, SPACE_VERSION, writeSpace, type SpaceRecord } from "./space-file.ts";

export interface FitRequest extends OpenOptions {
  /** Files of documents, see `readCorpus`. */
  readonly corpus: readonly string[];
  /** Where the map goes. */
  readonly output: string;
  /** k; null for all: the sum of the members' widths, in whole blocks of the decoder's weights. */
  readonly dimension: number | null;
  readonly seed: number;
  readonly eigenvalueFloor: number;
  /** Tokens to fit on, at most; null for what `fast` allows. */
  readonly tokens: number | null;
  /** Closed form alone, and fewer positions of everything: quicker, and not as good. */
  readonly fast: boolean;
  /** Also keep states of tapped layers, to compare the members, and measure what k and the tokens are worth. */
  readonly report: boolean;
}

export interface FitOutcome {
  readonly record: SpaceRecord;
  readonly members: readonly ModelInfo[];
  /** Of each member; empty without `report`. */
  readonly taps: readonly TappedStates[];
  /** Null without `report`. */
  readonly quality: QualityCurves | null;
}

/** Places in the text at which layers are compared: more changes the third digit and costs its square. */
const TAPPED_PLACES = 1500;

/** Some eight minutes on two cores: a fit of its own for each k and each share. */
const QUALITY = {
  dimensions: [128, 256, 384, 512, 640, 768, 1024],
  shares: [1 / 16, 1 / 8, 1 / 4, 1 / 2],
  positions: 600,
} as const;

/** What a fit spends its time on. */
interface Effort {
  /** Tokens of the anchor that the moments are taken over. */
  readonly fit: number;
  /** Positions at which the followers are asked which of their own tokens they expect. */
  readonly usage: number;
  /** Tokens of the documents on which weights and gates are chosen. */
  readonly choose: number;
  /** Tokens of the documents on which is chosen what not to fuse. */
  readonly route: number;
  /** Tokens of the documents that are reported on. */
  readonly report: number;
  readonly refinement: { readonly positions: number; readonly epochs: number } | null;
}

/**
 * Ten minutes on two cores. The documents to choose routes on are five or more of each of three domains: enough to show that
 * answering alone is worth it.
 */
const THOROUGH: Effort = {
  fit: 40_000,
  usage: 2000,
  choose: 6000,
  route: 3000,
  report: 4500,
  refinement: { positions: 8000, epochs: 2 },
};
/** Two minutes. */
const FAST: Effort = { fit: 12_000, usage: 800, choose: 1600, route: 1500, report: 1000, refinement: null };
/** The decoder's weights lie in blocks of that many. */
export const BLOCK_SIZE = 32;
/** More cost time at every token and gain little: see docs/fusion.md. */
const OWN_TOKENS = 16_384;

/** Fits a shared space on a text, measures it on the documents held back, and writes it. */
export async function fitToFile(request: FitRequest): Promise<FitOutcome> {
  const { output, seed, eigenvalueFloor, progress } = request;
  const effort = request.fast ? FAST : THOROUGH;
  const corpus = await readCorpus(request.corpus);
  const whole = splitCorpus(corpus.documents, seed);
  const opened = await openMembers(request);
  try {
    const members = opened.members.map(({ model }) => model.info);
    const full = members.reduce((sum, { width }) => sum + width, 0);
    const dimension = request.dimension ?? full - (full % BLOCK_SIZE);
    const [anchor, ...followers] = opened.members;
    const models = [anchor.model, ...followers.map(({ model }) => model)] as const;
    const { tokenizer } = anchor.model;
    const split: CorpusSplit = {
      fit: takeTokens(whole.fit, request.tokens ?? effort.fit, tokenizer, seed),
      choose: takeTokens(whole.choose, effort.choose, tokenizer, seed),
      report: takeTokens(whole.report, effort.report, tokenizer, seed),
    };
    const multiply = await createOnnxProduct();
    const routes: Route[] = [];
    const fit = await fitSpace({
      members: opened.members,
      corpus: split,
      dimension,
      ownTokens: { count: OWN_TOKENS, positions: effort.usage },
      eigenvalueFloor,
      taps: request.report ? members.map(tappedLayers) : [],
      tappedPlaces: TAPPED_PLACES,
      multiply,
      async findFused(first) {
        const documents = textsOfEachDomain(whole.choose, effort.route, tokenizer, seed);
        const options = { documents, clock: systemClock, progress };
        const found = await withEnsemble(opened, { space: first, routes }, request, (ensemble) =>
          fitRoutes({ ...options, ensemble }),
        );
        routes.push(...found);
        return ({ passages }) =>
          passages.some((passage) => routeOf({ members: models, routes }, passage) === null);
      },
      refinement: effort.refinement && { ...effort.refinement, createStep: createOnnxDistillation },
      quality: request.report ? QUALITY : null,
      seed,
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
        ownTokens: fit.space.members[m]?.own.ids.length ?? 0,
      })),
      gates: fit.space.gates,
      corpus: {
        name: corpus.name,
        sha256: corpus.sha256,
        fitDocuments: split.fit.length,
        fitTokens: fit.fitTokens,
        refinedPositions: fit.refinedPositions,
        chooseDocuments: split.choose.length,
        choosePositions: fit.choosePositions,
        reportDocuments: split.report.length,
      },
      routes,
      explainedVariance: fit.explainedVariance,
      heldOut: [],
    };
    const space = asStored(fit.space, record);
    record.heldOut = await withEnsemble(opened, { space, routes }, request, (ensemble) =>
      scoreHeldOut(ensemble, split.report, progress),
    );
    await writeSpace(output, fit.space, record);
    return { record, members, taps: fit.taps, quality: fit.quality };
  } finally {
    await opened.close();
  }
}

async function withEnsemble<T>(
  opened: OpenMembers,
  fitted: Parameters<typeof joinMembers>[1],
  request: FitRequest,
  use: (ensemble: Ensemble) => Promise<T>,
): Promise<T> {
  const joined = await joinMembers(opened, fitted, request);
  try {
    return await use(joined.ensemble);
  } finally {
    await joined.close();
  }
}

async function scoreHeldOut(
  ensemble: Ensemble,
  documents: readonly CorpusDocument[],
  progress: Progress,
): Promise<TextScore[]> {
  const scores: DocumentScore[] = [];
  progress.stage("scoring what was held back", documents.length, "steps");
  for (const document of documents) {
    scores.push(await scoreDocument(document, { ensemble, clock: systemClock, exact: null }));
    progress.update(scores.length);
  }
  progress.finish();
  return sumByDomain(scores).flatMap((domain) => domain.scores);
}
