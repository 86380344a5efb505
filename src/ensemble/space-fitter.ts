import { decoderMatrix, type MatrixProduct } from "../alignment/decoder-matrix.ts";
import { jointSvd, sharedMaps, tokenWeights, type JointSvd } from "../alignment/joint-svd.ts";
import { createSharedSpace, type SharedSpace } from "../alignment/shared-space.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { silentProgress, type Progress } from "../ports/progress.ts";
import { anchorRows, type AnchorRows, type FitMember } from "./anchor-rows.ts";
import { chooseWeights, type ChosenPosition } from "./choose-weights.ts";
import type { TextMoments } from "./collect-states.ts";
import { partialShares } from "./partial-shares.ts";
import { scorePositions, type PositionScores } from "./score-positions.ts";

export interface SpaceFitterOptions {
  /** The anchor first. */
  readonly members: readonly [FitMember, ...FitMember[]];
  /** Smallest eigenvalue of a state covariance, as a share of its largest. */
  readonly eigenvalueFloor: number;
  readonly multiply: MatrixProduct;
}

/** The parts of a closed-form fit, for one set of members. */
export interface SpaceFitter {
  readonly models: readonly [LanguageModel, ...LanguageModel[]];
  /** The members' heads over the anchor's vocabulary. */
  readonly tables: readonly AnchorRows[];
  /** The weighted joint SVD of these heads, at full rank, by what a text has shown. */
  decompose(text: TextMoments, progress: Progress): JointSvd;
  /** The space of k dimensions, the members' weights all alike. @throws RangeError as `sharedMaps` */
  cut(svd: JointSvd, text: TextMoments, dimension: number): SharedSpace;
  /** The space with biases and weights that make the tokens most likely. */
  choose(space: SharedSpace, positions: readonly ChosenPosition[], progress: Progress): Promise<SharedSpace>;
  /** How a space foresees the tokens at some positions when its weights are chosen on others. */
  measure(
    space: SharedSpace,
    choosing: readonly ChosenPosition[],
    scored: readonly ChosenPosition[],
  ): Promise<PositionScores>;
}

/** Holds the members' tables: V · Σd floats. */
export async function createSpaceFitter(options: SpaceFitterOptions): Promise<SpaceFitter> {
  const { members, multiply, eigenvalueFloor } = options;
  const [anchor, ...followers] = members.map(({ model }) => model);
  if (anchor === undefined) throw new Error("fit: there are no members");
  const models = [anchor, ...followers] as const;
  const tables = await anchorRows(members);
  const rows = tables.map((table) => table.rows);
  const continuations = members.map((member) => member.continuations);
  const special = [...anchor.tokenizer.specialTokens];
  const chosen = (
    space: SharedSpace,
    decoder: Float32Array,
    positions: readonly ChosenPosition[],
    progress: Progress,
  ): Promise<SharedSpace> =>
    chooseWeights({ space, tables, decoder, positions, continuations, special, multiply, progress });

  return {
    models,
    tables,
    decompose({ moments, tokenCounts, documents }, progress) {
      const heads = tables.map((table, m) => {
        const own = moments[m];
        if (own === undefined) throw new Error("fit: a member has read nothing");
        const width = own.mean.length;
        return {
          width,
          rows: (first: number, count: number) => table.rows.subarray(first * width, (first + count) * width),
          mean: own.mean,
          covariance: own.covariance,
          scale: 1 / models.length,
        };
      });
      const counts = withEnds(tokenCounts, anchor.tokenizer.endTokens, documents);
      return jointSvd(heads, tokenWeights(counts), { eigenvalueFloor, progress });
    },
    cut(svd, { tokenCounts }, dimension) {
      const space = createSharedSpace(
        svd,
        sharedMaps(svd, dimension),
        models.map((model) => model.info.id),
        models.map(() => 1 / models.length),
      );
      return withShares(
        space,
        tables.map((table) => partialShares(table, tokenCounts)),
      );
    },
    async choose(space, positions, progress) {
      return chosen(space, await decoderMatrix(space, rows, multiply), positions, progress);
    },
    async measure(space, choosing, scored) {
      const matrix = await decoderMatrix(space, rows, multiply);
      const { dimension: width, vocabularySize } = space;
      const ensemble = {
        members: models,
        space: await chosen(space, matrix, choosing, silentProgress),
        decoder: {
          width,
          vocabularySize,
          decode: (states: Float32Array) => multiply(states, matrix, width),
        },
        continuations,
        routes: [],
      };
      return scorePositions(ensemble, scored);
    },
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

/** Every document ends once, though its text does not say so: the decoder must know the end tokens well. */
function withEnds(counts: Float64Array, endTokens: readonly number[], documents: number): Float64Array {
  const counted = counts.slice();
  for (const token of endTokens) counted[token] = (counted[token] ?? 0) + documents;
  return counted;
}
