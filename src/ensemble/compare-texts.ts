import { createRandom } from "../linalg/random.ts";
import { pairedBootstrap } from "../stats/paired-bootstrap.ts";
import type { Interval } from "../stats/proportion.ts";
import { RESAMPLES } from "./choice-report.ts";

/** One paragraph under two ways of predicting. */
export interface PairedParagraph {
  readonly bytes: number;
  /** Sum of −log p over the paragraph's tokens, nats. */
  readonly first: number;
  readonly second: number;
}

/** Two ways of predicting the same paragraphs. */
export interface TextComparison {
  readonly paragraphs: number;
  readonly bytes: number;
  /** Bits per byte over all paragraphs. */
  readonly first: number;
  readonly second: number;
  /** first − second: below 0 the first predicts better. */
  readonly difference: number;
  /** Of the difference: paired bootstrap over paragraphs, 95 %. */
  readonly interval: Interval;
}

/** @throws RangeError when there are no paragraphs, or one has no bytes */
export function compareTexts(paragraphs: readonly PairedParagraph[], seed: number): TextComparison {
  const sizes = paragraphs.map(({ bytes }) => bytes);
  const differences = paragraphs.map(({ first, second }) => (first - second) / Math.LN2);
  const bytes = sum(sizes);
  return {
    paragraphs: paragraphs.length,
    bytes,
    first: sum(paragraphs.map(({ first }) => first)) / bytes / Math.LN2,
    second: sum(paragraphs.map(({ second }) => second)) / bytes / Math.LN2,
    difference: sum(differences) / bytes,
    interval: pairedBootstrap(differences, sizes, { random: createRandom(seed), resamples: RESAMPLES }),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
