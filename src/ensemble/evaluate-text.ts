import type { Clock } from "../ports/clock.ts";
import { passageText, type CorpusDocument, type Passage } from "./corpus.ts";
import { ENSEMBLE_ID } from "./engine.ts";
import type { Ensemble } from "./ensemble.ts";
import type { ExactBaselines } from "./exact-baselines.ts";
import { createFusedReading } from "./fused-reading.ts";
import { logMeanProbability, logPool } from "./baselines.ts";
import type { Prediction, Reading } from "./reading.ts";
import { decisionNats, routeOf } from "./route.ts";
import {
  ALWAYS_FUSED,
  EXACT_MEAN,
  EXACT_POOL,
  LOG_LINEAR_POOL,
  MEAN_OF_PROBABILITIES,
  throughSharedSpace,
} from "./row-names.ts";
import { createSingleReading } from "./single-reading.ts";
import { passageWindows } from "./windows.ts";

/** How well one way of predicting foresees a text. */
export interface TokenSum {
  /** See row-names.ts. */
  readonly name: string;
  /** Whose tokens were predicted: a member's own vocabulary, or the anchor's; both where the ensemble's answers differ in it. */
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
 * Scores a document: under every member alone with its own head and in its own vocabulary, under every member, the mean
 * of their probabilities and their log-linear pool read through the shared space, under the exact baselines if there are any, and under the
 * ensemble. A text is read from a document start; a chat's answers are scored after each model's own form of the turns
 * before them. Where a member abstains, the mean of the others stands for what it would say through the shared space.
 *
 * Where the ensemble has routes, each plain text is answered as a request would be: fused, or by one member alone. That is
 * decided on the whole text, which no prediction may look at; so the ensemble's sum for a text, fused or not, has the
 * cost of saying the decision, `decisionNats`. The fused answer then has a row beside it.
 */
export async function scoreDocument(
  document: CorpusDocument,
  options: ScoringOptions,
): Promise<DocumentScore> {
  const { ensemble } = options;
  const passages: (readonly TokenSum[])[] = [];
  for (const passage of document.passages) {
    const sums = await scorePassage(passage, options);
    passages.push(ensemble.routes.length === 0 ? sums : [...sums, routedSum(ensemble, passage, sums)]);
  }
  const texts = document.passages.map((passage) => new TextEncoder().encode(passageText(passage)));
  return {
    domain: document.domain,
    bytes: texts.reduce((sum, { length }) => sum + length, 0),
    sums: addSums(passages),
  };
}

/** Sums of one row over passages or documents that all have it; rows in the order of the first. */
export function addSums(parts: readonly (readonly TokenSum[])[]): TokenSum[] {
  return (parts[0] ?? []).map(({ name }) => {
    const own = parts.map((sums) => sumNamed(sums, name));
    return {
      name,
      vocabulary: [...new Set(own.map(({ vocabulary }) => vocabulary))].join(", "),
      tokens: own.reduce((sum, { tokens }) => sum + tokens, 0),
      nats: own.reduce((sum, { nats }) => sum + nats, 0),
    };
  });
}

/** @throws Error when what was scored has no row of that name */
export function sumNamed(sums: readonly TokenSum[], name: string): TokenSum {
  const found = sums.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`a document was not scored by ${name}`);
  return found;
}

/** The ensemble's row where it has routes. */
function routedSum(ensemble: Ensemble, passage: Passage, sums: readonly TokenSum[]): TokenSum {
  const member = routeOf(ensemble, passage)?.member ?? null;
  const answering = sumNamed(sums, member ?? ALWAYS_FUSED);
  const cost = passage.kind === "text" ? decisionNats(ensemble.routes, member) : 0;
  return { ...answering, name: ENSEMBLE_ID, nats: answering.nats + cost };
}

/** Every row but the ensemble's where it has routes; the fused answer last. */
async function scorePassage(
  passage: Passage,
  { ensemble, clock, exact }: ScoringOptions,
): Promise<TokenSum[]> {
  const anchor = ensemble.members[0].info.id;
  const fused = ensemble.routes.length === 0 ? ENSEMBLE_ID : ALWAYS_FUSED;
  const weights = ensemble.space.members.map(({ weight }) => weight);
  const special = [...ensemble.members[0].tokenizer.specialTokens];
  const sums = new Map<string, { name: string; vocabulary: string; tokens: number; nats: number }>();
  const add = (name: string, vocabulary: string, logprob: number): void => {
    const sum = sums.get(name) ?? { name, vocabulary, tokens: 0, nats: 0 };
    sums.set(name, sum);
    sum.tokens++;
    sum.nats -= logprob;
  };
  for (const window of passageWindows(passage, ensemble.members)) {
    for (const member of ensemble.members) {
      const { id } = member.info;
      await overTokens(createSingleReading(member, window, clock), ({ logprobs }, token) =>
        add(id, id, logprobs[token] ?? -Infinity),
      );
    }
    if (exact) await addExact(exact, window, (name, logprob) => add(name, anchor, logprob));
    await overTokens(createFusedReading(ensemble, window, clock), (prediction, token) => {
      const mean = logMeanProbability(prediction, token);
      for (const [m, { info }] of ensemble.members.entries()) {
        const own = prediction.members[m]?.logprobs?.[token];
        add(throughSharedSpace(info.id), anchor, own ?? mean);
      }
      add(MEAN_OF_PROBABILITIES, anchor, mean);
      add(LOG_LINEAR_POOL, anchor, logPool(prediction, weights, special, token));
      add(fused, anchor, prediction.logprobs[token] ?? -Infinity);
    });
  }
  return [...sums.values()];
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
