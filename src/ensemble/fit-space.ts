import { decoderMatrix, type MatrixProduct } from "../alignment/decoder-matrix.ts";
import { explainedVariance, jointSvd, sharedMaps, tokenWeights } from "../alignment/joint-svd.ts";
import type { DistillationStep } from "../alignment/distil.ts";
import { createSharedSpace, type SharedSpace } from "../alignment/shared-space.ts";
import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import { anchorRows, type AnchorRows, type FitMember } from "./anchor-rows.ts";
import { chooseWeights, readPositions, type ChosenPosition } from "./choose-weights.ts";
import { collectStates, type CollectedStates, type TappedStates } from "./collect-states.ts";
import type { CorpusDocument, CorpusSplit } from "./corpus.ts";
import { collectExamples } from "./distillation-examples.ts";
import { partialShares } from "./partial-shares.ts";
import { refineSpace } from "./refine-space.ts";

export interface FitOptions {
  /** The anchor first. */
  readonly members: readonly [FitMember, ...FitMember[]];
  readonly corpus: CorpusSplit;
  /** k, at most the sum of the members' widths. */
  readonly dimension: number;
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
  readonly seed: number;
  readonly clock: Clock;
  readonly progress: Progress;
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
}

/**
 * Learns a shared space from text. In closed form: moments of every member's final states on the fit documents, the
 * weighted joint SVD of the members' heads over the anchor's vocabulary, then biases and weights on the choose
 * documents, and those again on the ones that are fused. Then, if asked, refines the maps on the fit documents and
 * chooses the weights anew. The report documents are not touched.
 */
export async function fitSpace(options: FitOptions): Promise<Fit> {
  const { members, corpus, dimension, progress, multiply, clock } = options;
  const models: [LanguageModel, ...LanguageModel[]] = [
    members[0].model,
    ...members.slice(1).map((member) => member.model),
  ];
  const collected = await collectStates({
    members: models,
    documents: corpus.fit,
    taps: options.taps,
    tappedPlaces: options.tappedPlaces,
    progress,
  });
  const tables = await anchorRows(members);
  const svd = jointSvd(
    tables.map(({ rows }, m) => {
      const width = models[m]?.info.width ?? 0;
      const moments = collected.moments[m];
      if (moments === undefined) throw new Error("fit: a member has read nothing");
      return {
        width,
        rows: (first: number, count: number) => rows.subarray(first * width, (first + count) * width),
        mean: moments.mean,
        covariance: moments.covariance,
        scale: 1 / models.length,
      };
    }),
    tokenWeights(withEnds(collected.tokenCounts, models[0].tokenizer.endTokens, corpus.fit.length)),
    { eigenvalueFloor: options.eigenvalueFloor, progress },
  );
  const draft = withShares(
    createSharedSpace(
      svd,
      sharedMaps(svd, dimension),
      models.map((model) => model.info.id),
      models.map(() => 1 / models.length),
    ),
    tables.map((table) => partialShares(table, collected.tokenCounts)),
  );
  const choose = async (space: SharedSpace, positions: readonly ChosenPosition[]): Promise<SharedSpace> => {
    const rows = tables.map((table) => table.rows);
    const decoder = await decoderMatrix(space, rows, multiply);
    const special = [...models[0].tokenizer.specialTokens];
    const continuations = members.map((member) => member.continuations);
    return chooseWeights({ space, tables, decoder, positions, continuations, special, multiply, progress });
  };
  const read = (documents: readonly CorpusDocument[]): Promise<ChosenPosition[]> =>
    readPositions({ members: models, documents, clock, progress });
  const first = await choose(draft, await read(corpus.choose));
  const isFused = await options.findFused(first);
  const positions = await read(corpus.choose.filter(isFused));
  const closed = await choose(first, positions);
  const { refinement } = options;
  const documents = corpus.fit.filter(isFused);
  const refined =
    refinement &&
    (await refine({ ...options, refinement, documents, members: models, space: closed, tables, collected }));
  return {
    space: refined === null ? closed : await choose(refined.space, positions),
    fitTokens: collected.tokens,
    refinedPositions: refined?.positions ?? 0,
    choosePositions: positions.length,
    explainedVariance: explainedVariance(svd)[dimension - 1] ?? 1,
    taps: collected.taps,
  };
}

/** The space with each member's shares of its partial rows (m arrays of V) in its token biases. */
function withShares(space: SharedSpace, shares: readonly Float32Array[]): SharedSpace {
  const members = space.members.map((member, m) =>
    Object.assign({}, member, {
      tokenBias: member.tokenBias.map((bias, token) => bias + (shares[m]?.[token] ?? 0)),
    }),
  );
  return { ...space, members };
}

interface RefineOptions extends Pick<FitOptions, "clock" | "progress" | "seed"> {
  readonly refinement: Refinement;
  readonly members: readonly [LanguageModel, ...LanguageModel[]];
  readonly documents: readonly CorpusDocument[];
  readonly space: SharedSpace;
  readonly tables: readonly AnchorRows[];
  readonly collected: CollectedStates;
}

async function refine(options: RefineOptions): Promise<{ space: SharedSpace; positions: number }> {
  const { refinement, members, documents, space, tables, collected, clock, progress, seed } = options;
  const { positions: most, epochs } = refinement;
  const examples = await collectExamples({ members, documents, most, clock, progress });
  const step = await refinement.createStep(
    tables.map(({ rows }, m) => ({ rows, width: space.members[m]?.width ?? 0 })),
  );
  const means = collected.moments.map(({ mean }) => Float32Array.from(mean));
  const refined = await refineSpace({ space, means, examples, step, epochs, seed, progress });
  return { space: refined, positions: examples.length };
}

/** Every document ends once, though its text does not say so: the decoder must know the end tokens well. */
function withEnds(counts: Float64Array, endTokens: readonly number[], documents: number): Float64Array {
  const counted = counts.slice();
  for (const token of endTokens) counted[token] = (counted[token] ?? 0) + documents;
  return counted;
}
