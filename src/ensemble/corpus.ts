import { createRandom } from "../linalg/random.ts";

/** Documents kept apart: maps are fitted on one part, weights chosen on another, and numbers reported on the third. */
export interface CorpusSplit {
  readonly fit: readonly string[];
  readonly choose: readonly string[];
  readonly report: readonly string[];
}

/** Fewer documents leave too little to choose and report on. */
const FEWEST_DOCUMENTS = 20;

/**
 * Splits a corpus by document, 80 : 10 : 10, in an order that the seed decides. Documents are separated by blank
 * lines.
 * @throws Error when there are fewer than 20
 */
export function splitCorpus(text: string, seed: number): CorpusSplit {
  const documents = text
    .split(/\r?\n[ \t]*\r?\n/)
    .map((document) => document.trim())
    .filter((document) => document !== "");
  if (documents.length < FEWEST_DOCUMENTS) {
    throw new Error(
      `corpus: expected at least ${FEWEST_DOCUMENTS} documents separated by blank lines, got ${documents.length}`,
    );
  }
  const order = createRandom(seed).shuffle(Array.from(documents.keys()));
  const shuffled = order.flatMap((at) => documents[at] ?? []);
  const held = Math.max(1, Math.round(shuffled.length / 10));
  return {
    choose: shuffled.slice(0, held),
    report: shuffled.slice(held, 2 * held),
    fit: shuffled.slice(2 * held),
  };
}
