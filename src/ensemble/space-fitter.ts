import { decoderMatrix, type MatrixProduct } from "../alignment/decoder-matrix.ts";
import { jointSvd, sharedMaps, tokenWeights, type JointSvd } from "../alignment/joint-svd.ts";
import { createSharedSpace, decoderRowCount, type SharedSpace } from "../alignment/shared-space.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import { silentProgress, type Progress } from "../ports/progress.ts";
import { chooseWeights, type ChosenPosition } from "./choose-weights.ts";
import type { TextMoments } from "./collect-states.ts";
import { decoderRows, type FitMember, type MemberRows } from "./decoder-rows.ts";
import type { TokenUsage } from "./own-tokens.ts";
import { scorePositions, type PositionScores } from "./score-positions.ts";

export interface SpaceFitterOptions {
  /** The anchor first. */
  readonly members: readonly [FitMember, ...FitMember[]];
  /** Tokens of each follower that get rows of their own (m − 1). */
  readonly ownTokens: readonly TokenUsage[];
  /** Smallest eigenvalue of a state covariance, as a share of its largest. */
  readonly eigenvalueFloor: number;
  readonly multiply: MatrixProduct;
}

/** The parts of a closed-form fit, for one set of members. */
export interface SpaceFitter {
  readonly models: readonly [LanguageModel, ...LanguageModel[]];
  /** The members' heads by the decoder's rows. */
  readonly tables: readonly MemberRows[];
  /** The weighted joint SVD of these heads, at full rank, by what a text has shown. */
  decompose(text: TextMoments, progress: Progress): JointSvd;
  /** The space of k dimensions, the members' weights all alike. @throws RangeError as `sharedMaps` */
  cut(svd: JointSvd, dimension: number): SharedSpace;
  /** The space with weights and gates that make the tokens most likely. */
  choose(space: SharedSpace, positions: readonly ChosenPosition[], progress: Progress): Promise<SharedSpace>;
  /** How a space foresees the tokens at some positions when its weights are chosen on others. */
  measure(
    space: SharedSpace,
    choosing: readonly ChosenPosition[],
    scored: readonly ChosenPosition[],
  ): Promise<PositionScores>;
}

/** Holds the members' tables: R · Σd floats. */
export async function createSpaceFitter(options: SpaceFitterOptions): Promise<SpaceFitter> {
  const { members, multiply, eigenvalueFloor, ownTokens } = options;
  const [anchor, ...followers] = members.map(({ model }) => model);
  if (anchor === undefined) throw new Error("fit: there are no members");
  const models = [anchor, ...followers] as const;
  const tables = await decoderRows(
    members,
    ownTokens.map(({ ids }) => ids),
  );
  const rows = tables.map((table) => table.rows);
  const continuations = members.map((member) => member.continuations);
  const special = [...anchor.tokenizer.specialTokens];
  const { endTokens } = anchor.tokenizer;
  const chosen = (
    space: SharedSpace,
    decoder: Float32Array,
    positions: readonly ChosenPosition[],
    progress: Progress,
  ): Promise<SharedSpace> =>
    chooseWeights({ space, decoder, positions, continuations, special, multiply, progress });

  /**
   * How often each row was to be expected in a text (R): the anchor's tokens as they came, the followers' own by their heads.
   * Every document ends once, though its text does not say so: the decoder must know the end tokens well.
   */
  function rowCounts({ tokenCounts, documents, tokens }: TextMoments): Float64Array {
    const counts = new Float64Array(tables[0]?.tokens.length ?? 0);
    counts.set(tokenCounts);
    for (const token of endTokens) counts[token] = (counts[token] ?? 0) + documents;
    for (const [f, { ids, probabilities }] of ownTokens.entries()) {
      const expected = new Map(Array.from(ids, (id, i) => [id, tokens * (probabilities[i] ?? 0)]));
      const own = tables[f + 1]?.own;
      for (const [i, id] of own?.ids.entries() ?? []) {
        counts[(own?.firstRow ?? 0) + i] = expected.get(id) ?? 0;
      }
    }
    return counts;
  }

  return {
    models,
    tables,
    decompose(text, progress) {
      const { moments } = text;
      const heads = tables.map((table, m) => {
        const own = moments[m];
        if (own === undefined) throw new Error("fit: a member has read nothing");
        const width = own.mean.length;
        return {
          width,
          rows: (first: number, count: number) => table.rows.subarray(first * width, (first + count) * width),
          mean: own.mean,
          covariance: own.covariance,
          rowOffset: table.offset,
          scale: 1 / models.length,
        };
      });
      return jointSvd(heads, tokenWeights(rowCounts(text)), { eigenvalueFloor, progress });
    },
    cut(svd, dimension) {
      return createSharedSpace(
        svd,
        sharedMaps(svd, dimension),
        models.map((model) => model.info.id),
        models.map(() => 1 / models.length),
        tables.map(({ own }) => own),
      );
    },
    async choose(space, positions, progress) {
      return chosen(space, await decoderMatrix(space, rows, multiply), positions, progress);
    },
    async measure(space, choosing, scored) {
      const matrix = await decoderMatrix(space, rows, multiply);
      const { dimension: width } = space;
      const ensemble = {
        members: models,
        space: await chosen(space, matrix, choosing, silentProgress),
        decoder: {
          width,
          vocabularySize: decoderRowCount(space),
          decode: (states: Float32Array) => multiply(states, matrix, width),
        },
        continuations,
        routes: [],
      };
      return scorePositions(ensemble, scored);
    },
  };
}
