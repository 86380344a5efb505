import type { Clock } from "../ports/clock.ts";
import { passageText, type CorpusDocument, type Passage } from "./corpus.ts";
import { ENSEMBLE_ID } from "./engine.ts";
import type { Ensemble } from "./ensemble.ts";
import type { ExactBaselines } from "./exact-baselines.ts";
import { createFusedReading } from "./fused-reading.ts";
import { logMeanProbability } from "./mean-probability.ts";
import type { Prediction, Reading } from "./reading.ts";
import { EXACT_MEAN, EXACT_POOL, MEAN_OF_PROBABILITIES, throughSharedSpace } from "./row-names.ts";
import { createSingleReading } from "./single-reading.ts";
import { passageWindows } from "./windows.ts";

/** How well one way of predicting foresees a text. */
export interface TokenSum {
  /** See row-names.ts. */
  readonly name: string;
  /** Whose tokens were predicted: a member's own vocabulary, or the anchor's. */
  readonly vocabulary: string;
  readonly tokens: number;
  /** Sum of −log p over the tokens. */
  readonly nats: number;
}

/** One document under every way of predicting, in an order that is the same for all documents. */
export interface DocumentScore {
  readonly domain: string;
  /** UTF-8 bytes of what was scored: a text, or a chat's answers. */
  readonly bytes: number;
  readonly sums: readonly TokenSum[];
}

export interface ScoringOptions {
  readonly ensemble: Ensemble;
  readonly clock: Clock;
  /** Also the exact baselines, which are slow. */
  readonly exact: ExactBaselines | null;
}

/**
 * Scores a document: under every member alone with its own head and in its own vocabulary, under every member and the
 * mean of their probabilities read through the shared space, under the exact baselines if there are any, and under the
 * ensemble. A text is read from a document start; a chat's answers are scored after each model's own form of the turns
 * before them. Where a member abstains, the mean of the others stands for what it would say through the shared space.
 */
export async function scoreDocument(
  document: CorpusDocument,
  { ensemble, clock, exact }: ScoringOptions,
): Promise<DocumentScore> {
  const anchor = ensemble.members[0].info.id;
  const sums = new Map<string, { name: string; vocabulary: string; tokens: number; nats: number }>();
  const add = (name: string, vocabulary: string, logprob: number): void => {
    const sum = sums.get(name) ?? { name, vocabulary, tokens: 0, nats: 0 };
    sums.set(name, sum);
    sum.tokens++;
    sum.nats -= logprob;
  };
  let bytes = 0;
  for (const passage of document.passages.flatMap((whole) => passageWindows(whole, ensemble.members))) {
    bytes += new TextEncoder().encode(passageText(passage)).length;
    for (const member of ensemble.members) {
      const { id } = member.info;
      await overTokens(createSingleReading(member, passage, clock), ({ logprobs }, token) =>
        add(id, id, logprobs[token] ?? -Infinity),
      );
    }
    if (exact) await addExact(exact, passage, (name, logprob) => add(name, anchor, logprob));
    await overTokens(createFusedReading(ensemble, passage, clock), (prediction, token) => {
      const mean = logMeanProbability(prediction, token);
      for (const [m, { info }] of ensemble.members.entries()) {
        const own = prediction.members[m]?.logprobs?.[token];
        add(throughSharedSpace(info.id), anchor, own ?? mean);
      }
      add(MEAN_OF_PROBABILITIES, anchor, mean);
      add(ENSEMBLE_ID, anchor, prediction.logprobs[token] ?? -Infinity);
    });
  }
  return { domain: document.domain, bytes, sums: [...sums.values()] };
}

async function addExact(
  exact: ExactBaselines,
  passage: Passage,
  add: (name: string, logprob: number) => void,
): Promise<void> {
  for await (const { pool, mean } of exact.score(passage)) {
    add(EXACT_POOL, pool);
    add(EXACT_MEAN, mean);
  }
}

async function overTokens(
  reading: Reading,
  visit: (prediction: Prediction, token: number) => void,
): Promise<void> {
  try {
    let position = 0;
    for await (const prediction of reading.score()) visit(prediction, reading.prompt.scored[position++] ?? 0);
  } finally {
    reading.close();
  }
}
