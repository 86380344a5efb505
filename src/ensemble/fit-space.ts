import { decoderMatrix, type MatrixProduct } from "../alignment/decoder-matrix.ts";
import { explainedVariance, jointSvd, sharedMaps, tokenWeights } from "../alignment/joint-svd.ts";
import { createSharedSpace, type SharedSpace } from "../alignment/shared-space.ts";
import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import { anchorRows, type FitMember } from "./anchor-rows.ts";
import { chooseWeights } from "./choose-weights.ts";
import { collectStates, type TappedStates } from "./collect-states.ts";
import type { CorpusSplit } from "./corpus.ts";

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
  readonly clock: Clock;
  readonly progress: Progress;
}

export interface Fit {
  readonly space: SharedSpace;
  /** Tokens of the anchor that the maps were fitted on. */
  readonly fitTokens: number;
  /** Positions that the weights were chosen on. */
  readonly choosePositions: number;
  /** Share of the weighted logit variance that k dimensions carry. */
  readonly explainedVariance: number;
  readonly taps: readonly TappedStates[];
}

/**
 * Learns a shared space from text in closed form: moments of every member's final states on the fit documents, the
 * weighted joint SVD of the members' heads over the anchor's vocabulary, then biases and weights on the choose
 * documents. The report documents are not touched.
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
  const draft = createSharedSpace(
    svd,
    sharedMaps(svd, dimension),
    models.map((model) => model.info.id),
    models.map(() => 1 / models.length),
  );
  const decoder = await decoderMatrix(
    draft,
    tables.map(({ rows }) => rows),
    multiply,
  );
  const chosen = await chooseWeights({
    members: models,
    documents: corpus.choose,
    space: draft,
    tables,
    decoder,
    multiply,
    clock,
    progress,
  });
  return {
    space: chosen.space,
    fitTokens: collected.tokens,
    choosePositions: chosen.positions,
    explainedVariance: explainedVariance(svd)[dimension - 1] ?? 1,
    taps: collected.taps,
  };
}

/** Every document ends once, though its text does not say so: the decoder must know the end tokens well. */
function withEnds(counts: Float64Array, endTokens: readonly number[], documents: number): Float64Array {
  const counted = counts.slice();
  for (const token of endTokens) counted[token] = (counted[token] ?? 0) + documents;
  return counted;
}
