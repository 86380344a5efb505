import type { Random } from "../linalg/random.ts";
import { quantile } from "./bootstrap.ts";
import { checkVerdicts, type Verdict } from "./forecast.ts";

/** Verdicts whose confidences lie together: one bar of a reliability diagram. */
export interface ReliabilityBin {
  /** Confidences in [low, high), in [low, high] for the last. */
  readonly low: number;
  readonly high: number;
  /** Verdicts in it, above 0. */
  readonly count: number;
  /** Mean confidence of these. */
  readonly confidence: number;
  /** Share of these that were right. */
  readonly accuracy: number;
}

export interface Binning {
  /** Of one width, or, between quantiles of the confidences, of about one count; equal confidences stay together. */
  readonly edges: "equal-width" | "equal-mass";
  /** Bins, also the empty ones. */
  readonly bins: number;
}

export const EQUAL_WIDTH: Binning = { edges: "equal-width", bins: 15 };
export const EQUAL_MASS: Binning = { edges: "equal-mass", bins: 15 };

/**
 * The verdicts by confidence, lowest first; bins without verdicts are left out. Cost n log n.
 * @throws RangeError on no verdicts, bad ones, or a number of bins that is no whole number >= 1
 */
export function reliabilityBins(
  verdicts: readonly Verdict[],
  binning: Binning = EQUAL_WIDTH,
): ReliabilityBin[] {
  checkVerdicts("reliabilityBins", verdicts);
  const edges = edgesOf(verdicts, binning);
  const bins = binning.bins;
  const counts = new Float64Array(bins);
  const confidences = new Float64Array(bins);
  const rights = new Float64Array(bins);
  for (const { confidence, correct } of verdicts) {
    const bin = binOf(confidence, edges);
    counts[bin]!++;
    confidences[bin]! += confidence;
    if (correct) rights[bin]!++;
  }
  return Array.from(counts, (count, bin) => ({
    low: edges[bin]!,
    high: edges[bin + 1]!,
    count,
    confidence: confidences[bin]! / count,
    accuracy: rights[bin]! / count,
  })).filter(({ count }) => count > 0);
}

/**
 * ECE = Σ_b (n_b / n) |accuracy_b − confidence_b|, in [0, 1], over `reliabilityBins`. Naeini, Cooper & Hauskrecht 2015;
 * with bins of equal mass Nguyen & O'Connor 2015. Chance alone makes it about √(bins / n) / 3 where all is calibrated.
 * @throws RangeError as `reliabilityBins` does
 */
export function expectedCalibrationError(
  verdicts: readonly Verdict[],
  binning: Binning = EQUAL_WIDTH,
): number {
  const deviation = reliabilityBins(verdicts, binning).reduce(
    (sum, { count, accuracy, confidence }) => sum + count * Math.abs(accuracy - confidence),
    0,
  );
  return deviation / verdicts.length;
}

/** Draws of which `calibrationErrorByChance` takes the mean: it is then off by a fiftieth of itself at most. */
const DRAWS = 1000;

/**
 * What the expected calibration error (equal width) of these confidences would be on average, were each verdict right with
 * exactly the probability that its confidence tells: by simulation. Cost 1000 n log n.
 */
export function calibrationErrorByChance(verdicts: readonly Verdict[], random: Random): number {
  let sum = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    sum += expectedCalibrationError(
      verdicts.map(({ confidence }) => ({ confidence, correct: random.next() < confidence })),
    );
  }
  return sum / DRAWS;
}

/** The bins' edges (bins + 1), from 0 to 1. */
function edgesOf(verdicts: readonly Verdict[], { edges, bins }: Binning): Float64Array {
  if (!Number.isInteger(bins) || bins < 1) {
    throw new RangeError(`reliabilityBins: expected a whole number of bins from 1, got ${bins}`);
  }
  const result = Float64Array.from({ length: bins + 1 }, (_, edge) => edge / bins);
  if (edges === "equal-width") return result;
  const sorted = Float64Array.from(verdicts, ({ confidence }) => confidence).sort();
  for (let edge = 1; edge < bins; edge++) result[edge] = quantile(sorted, edge / bins);
  return result;
}

/** The last bin that begins at or below the confidence, by bisection. */
function binOf(confidence: number, edges: Float64Array): number {
  let low = 0;
  let high = edges.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle]! <= confidence) low = middle;
    else high = middle - 1;
  }
  return low;
}
