import type { JointSvd } from "../alignment/joint-svd.ts";
import type { SharedSpace } from "../alignment/shared-space.ts";
import { silentProgress, type Progress } from "../ports/progress.ts";
import type { ChosenPosition } from "./choose-weights.ts";
import type { TextMoments } from "./collect-states.ts";
import type { SpaceFitter } from "./space-fitter.ts";

/** A shared space and how well it foresees text that neither its maps nor its weights have seen. */
export interface QualityPoint {
  /** k. */
  readonly dimension: number;
  /** Tokens of the anchor that its maps were fitted on. */
  readonly tokens: number;
  /** Of the ensemble's answer, nats a token of the anchor. */
  readonly nats: number;
  /** Of each member read through the space alone (m). */
  readonly memberNats: readonly number[];
}

/**
 * What the dimension and the length of the text are worth. Every point is a closed-form fit of its own, its weights
 * chosen on the same positions and its loss measured on the same others, all of it in float32.
 */
export interface QualityCurves {
  /** Of the members, the anchor first. */
  readonly ids: readonly string[];
  readonly choosePositions: number;
  readonly reportPositions: number;
  /**
   * By k, on all tokens. The last is the full rank, k = Σd: there every member is exactly itself, with its own head over
   * the anchor's tokens, and the fused answer is the log-linear pool of these heads.
   */
  readonly byDimension: readonly QualityPoint[];
  /** By tokens, at the k nearest to half of the full rank, which in closed form is the same whatever the text. */
  readonly byTokens: readonly QualityPoint[];
  /** The fit's maps after their refinement; null where there was none. */
  readonly refined: QualityPoint | null;
}

export interface CurveOptions {
  readonly fitter: SpaceFitter;
  /** Of all of the fit text. */
  readonly svd: JointSvd;
  readonly text: TextMoments;
  /** Of its beginnings; what has as many documents as `text` is left out. */
  readonly snapshots: readonly TextMoments[];
  /** The fit's own k. */
  readonly dimension: number;
  /** Other k; those above the full rank are left out. The fit's own and the full rank are always there. */
  readonly dimensions: readonly number[];
  /** The maps after refinement; null for none. */
  readonly refined: SharedSpace | null;
  readonly choosing: readonly ChosenPosition[];
  readonly scored: readonly ChosenPosition[];
  readonly progress: Progress;
}

/** Cost: a choice of weights for each point, and a joint SVD for each snapshot. */
export async function qualityCurves(options: CurveOptions): Promise<QualityCurves> {
  const { fitter, svd, text, dimension, refined, progress } = options;
  const full = svd.eigenvalues.length;
  const dimensions = [...new Set([...options.dimensions, dimension, full])]
    .filter((k) => k <= full)
    .sort((a, b) => a - b);
  const beginnings = options.snapshots
    .filter(({ documents }) => documents < text.documents)
    .sort((a, b) => a.tokens - b.tokens);
  let done = 0;
  progress.stage(
    "measuring the quality",
    dimensions.length + beginnings.length + (refined === null ? 0 : 1),
    "steps",
  );
  const point = async (space: SharedSpace, { tokens }: TextMoments): Promise<QualityPoint> => {
    const { fused, members } = await fitter.measure(space, options.choosing, options.scored);
    progress.update(++done);
    return { dimension: space.dimension, tokens, nats: fused, memberNats: members };
  };
  const byDimension: QualityPoint[] = [];
  for (const k of dimensions) byDimension.push(await point(fitter.cut(svd, k), text));
  const half = dimensions.reduce((best, k) =>
    Math.abs(k - full / 2) < Math.abs(best - full / 2) ? k : best,
  );
  const byTokens: QualityPoint[] = [];
  for (const beginning of beginnings) {
    const own = fitter.decompose(beginning, silentProgress);
    byTokens.push(await point(fitter.cut(own, half), beginning));
  }
  byTokens.push(...byDimension.filter((at) => at.dimension === half));
  const after = refined === null ? null : await point(refined, text);
  progress.finish();
  return {
    ids: fitter.models.map((model) => model.info.id),
    choosePositions: options.choosing.length,
    reportPositions: options.scored.length,
    byDimension,
    byTokens,
    refined: after,
  };
}
