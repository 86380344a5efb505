import type { MatrixProduct } from "../alignment/decoder-matrix.ts";
import { explainedVariance } from "../alignment/joint-svd.ts";
import type { DistillationStep } from "../alignment/distil.ts";
import type { SharedSpace } from "../alignment/shared-space.ts";
import type { Clock } from "../ports/clock.ts";
import type { Progress } from "../ports/progress.ts";
import { readPositions, spread, type ChosenPosition } from "./choose-weights.ts";
import { collectStates, type TappedStates, type TextMoments } from "./collect-states.ts";
import type { CorpusDocument, CorpusSplit } from "./corpus.ts";
import type { FitMember } from "./decoder-rows.ts";
import { collectExamples } from "./distillation-examples.ts";
import { chooseOwnTokens } from "./own-tokens.ts";
import { qualityCurves, type QualityCurves } from "./quality-curves.ts";
import { refineSpace } from "./refine-space.ts";
import { createSpaceFitter, type SpaceFitter } from "./space-fitter.ts";

export interface FitOptions {
  /** The anchor first. */
  readonly members: readonly [FitMember, ...FitMember[]];
  readonly corpus: CorpusSplit;
  /** k, at most the sum of the members' widths. */
  readonly dimension: number;
  /** Tokens of its own for which each follower gets rows in the decoder, at most, and positions at which it is asked for them. */
  readonly ownTokens: { readonly count: number; readonly positions: number };
  /** Smallest eigenvalue of a state covariance, as a share of its largest: the fit's regularisation. */
  readonly eigenvalueFloor: number;
  /** Layers of each member whose states to keep; empty for none. */
  readonly taps: readonly (readonly number[])[];
  /** The most places in the text for which they are kept. */
  readonly tappedPlaces: number;
  readonly multiply: MatrixProduct;
  /** Tells by a first space which documents will be fused: weights are chosen and maps refined on these alone. */
  readonly findFused: (first: SharedSpace) => Promise<(document: CorpusDocument) => boolean>;
  /** Refines the closed-form maps by distillation; null leaves them as they are. */
  readonly refinement: Refinement | null;
  /** Also measures what other dimensions and shorter texts come to; null does not. */
  readonly quality: QualityRequest | null;
  readonly seed: number;
  readonly clock: Clock;
  readonly progress: Progress;
}

export interface QualityRequest {
  /** k to measure beside the fit's own and the full rank. */
  readonly dimensions: readonly number[];
  /** Shares of the fit documents, in (0, 1), to measure beside all of them. */
  readonly shares: readonly number[];
  /** Positions to choose weights on, and as many of the report documents to measure at, at most. */
  readonly positions: number;
}

export interface Refinement {
  /** Positions of the fit documents to learn from, at most. */
  readonly positions: number;
  readonly epochs: number;
  /** Runs steps over the members' rows U_m (V, d_m). */
  createStep(
    tables: readonly { readonly rows: Float32Array; readonly width: number }[],
  ): Promise<DistillationStep>;
}

export interface Fit {
  readonly space: SharedSpace;
  /** Tokens of the anchor that the maps were fitted on. */
  readonly fitTokens: number;
  /** Positions that the maps were refined on; 0 for none. */
  readonly refinedPositions: number;
  /** Positions that the weights were chosen on. */
  readonly choosePositions: number;
  /** Share of the weighted logit variance that k dimensions carry. */
  readonly explainedVariance: number;
  readonly taps: readonly TappedStates[];
  /** Measured on those of the report documents that are fused; null unless asked. */
  readonly quality: QualityCurves | null;
}

/** Enough to choose by what is fused. */
const DRAFT_POSITIONS = 1200;

/**
 * Learns a shared space from text. In closed form: moments of every member's final states on the fit documents, the
 * weighted joint SVD of the members' heads by the decoder's rows, then weights and gates on the choose
 * documents, and those again on the ones that are fused. Then, if asked, refines the maps on the fit documents and
 * chooses the weights anew. The report documents are read for `quality` alone, and decide nothing.
 */
export async function fitSpace(options: FitOptions): Promise<Fit> {
  const { members, corpus, dimension, progress, multiply, clock, eigenvalueFloor, quality } = options;
  const [anchor, ...followers] = members.map(({ model }) => model);
  if (anchor === undefined) throw new Error("fit: there are no members");
  const ownTokens = await chooseOwnTokens({
    members: [anchor, ...followers],
    documents: corpus.fit,
    most: options.ownTokens.positions,
    count: options.ownTokens.count,
    clock,
    progress,
  });
  const fitter = await createSpaceFitter({ members, ownTokens, multiply, eigenvalueFloor });
  const text = await collectStates({
    members: fitter.models,
    documents: corpus.fit,
    shares: quality?.shares ?? [],
    taps: options.taps,
    tappedPlaces: options.tappedPlaces,
    progress,
  });
  const svd = fitter.decompose(text, progress);
  const read = (documents: readonly CorpusDocument[], most?: number): Promise<ChosenPosition[]> =>
    readPositions({ members: fitter.models, documents, most, clock, progress });
  const draft = fitter.cut(svd, dimension);
  const first = await fitter.choose(draft, await read(corpus.choose, DRAFT_POSITIONS), progress);
  const isFused = await options.findFused(first);
  const positions = await read(corpus.choose.filter(isFused));
  const { refinement } = options;
  const documents = corpus.fit.filter(isFused);
  const refined =
    refinement && (await refine({ ...options, refinement, documents, space: first, fitter, text }));
  const space = await fitter.choose(refined?.space ?? first, positions, progress);
  return {
    space,
    fitTokens: text.tokens,
    refinedPositions: refined?.positions ?? 0,
    choosePositions: positions.length,
    explainedVariance: explainedVariance(svd)[dimension - 1] ?? 1,
    taps: text.taps,
    quality:
      quality &&
      (await qualityCurves({
        fitter,
        svd,
        text,
        snapshots: text.snapshots,
        dimension,
        dimensions: quality.dimensions,
        refined: refined && space,
        choosing: spread(positions, quality.positions),
        scored: await read(corpus.report.filter(isFused), quality.positions),
        progress,
      })),
  };
}

interface RefineOptions extends Pick<FitOptions, "clock" | "progress" | "seed"> {
  readonly refinement: Refinement;
  readonly fitter: SpaceFitter;
  readonly documents: readonly CorpusDocument[];
  readonly space: SharedSpace;
  readonly text: TextMoments;
}

async function refine(options: RefineOptions): Promise<{ space: SharedSpace; positions: number }> {
  const { refinement, fitter, documents, space, text, clock, progress, seed } = options;
  const { positions: most, epochs } = refinement;
  const { models, tables } = fitter;
  const examples = await collectExamples({ members: models, tables, documents, most, clock, progress });
  const step = await refinement.createStep(
    tables.map(({ rows }, m) => ({ rows, width: space.members[m]?.width ?? 0 })),
  );
  const means = text.moments.map(({ mean }) => Float32Array.from(mean));
  const refined = await refineSpace({ space, means, examples, step, epochs, seed, progress });
  return { space: refined, positions: examples.length };
}
