import { createHash } from "node:crypto";
import { z } from "zod";
import { splitCorpus, type CorpusDocument, type CorpusSplit } from "../../src/ensemble/corpus.ts";
import { ENSEMBLE_ID } from "../../src/ensemble/engine.ts";
import type { Ensemble } from "../../src/ensemble/ensemble.ts";
import { scoreDocument, type DocumentScore } from "../../src/ensemble/evaluate-text.ts";
import {
  chooseExactWeights,
  createExactBaselines,
  type ExactBaselines,
  type ExactWeights,
} from "../../src/ensemble/exact-baselines.ts";
import {
  EXACT_MEAN,
  EXACT_POOL,
  LOG_LINEAR_POOL,
  MEAN_OF_PROBABILITIES,
} from "../../src/ensemble/row-names.ts";
import {
  compareWithBest,
  oracleScore,
  sumByDomain,
  type BestComparison,
  type DomainScores,
} from "../../src/ensemble/text-scores.ts";
import { createRandom } from "../../src/linalg/random.ts";
import { systemClock } from "../../src/ports/clock.ts";
import { DEFAULT_CORPUS, readCorpus, type Corpus } from "./corpus-files.ts";
import { openKeyedLines } from "./keyed-lines.ts";
import type { FittedEnsemble } from "./open-ensemble.ts";
import type { ProgressBar } from "./progress-bar.ts";
import { modelsKey, scoresPath } from "./score-keys.ts";

export interface SelectionRequest {
  /** Files of documents; none for the default corpus. */
  readonly files: readonly string[];
  /** Only the documents that a fit with this seed would put there; null for all, a text then being one document. */
  readonly split: keyof CorpusSplit | null;
  readonly seed: number;
  /** Also the exact baselines, their weights chosen on the `choose` documents. */
  readonly exact: boolean;
  /** At most that many documents of each domain; null for all. */
  readonly limit: number | null;
}

/** What is to be scored. */
export interface Selection {
  readonly corpus: Corpus;
  readonly split: keyof CorpusSplit | null;
  readonly seed: number;
  readonly documents: readonly CorpusDocument[];
  /** Documents to choose the exact baselines' weights on; null for no exact baselines. */
  readonly choosing: readonly CorpusDocument[] | null;
}

export interface DomainReport extends DomainScores {
  /** The ensemble against the member that predicts these documents best. */
  readonly comparison: BestComparison;
  /** The ensemble against each other way to combine the members. */
  readonly baselines: readonly BestComparison[];
}

/** Raise it when the same documents come to other scores under the same models. */
const SCORES_VERSION = 4;

const scoreSchema: z.ZodType<DocumentScore> = z.object({
  domain: z.string(),
  bytes: z.int(),
  sums: z.array(z.object({ name: z.string(), vocabulary: z.string(), tokens: z.int(), nats: z.number() })),
});

const weightsSchema: z.ZodType<ExactWeights> = z.object({
  pool: z.array(z.number()),
  mean: z.array(z.number()),
  partialBias: z.array(z.number()),
});

/** @throws Error on a file that holds no documents, too few for a split, or weights chosen on what is reported */
export async function selectDocuments(request: SelectionRequest): Promise<Selection> {
  const { split, seed, limit } = request;
  if (request.exact && (split === null || split === "choose")) {
    throw new Error("the exact baselines' weights are chosen on a split's choose part: add --split report");
  }
  const paths = request.files.length > 0 ? request.files : DEFAULT_CORPUS;
  const corpus = await readCorpus(paths, split === null);
  if (split === null) {
    return { corpus, split, seed, documents: firstOfEach(corpus.documents, limit), choosing: null };
  }
  const parts = splitCorpus(corpus.documents, seed);
  const choosing = request.exact ? parts.choose : null;
  return { corpus, split, seed, documents: firstOfEach(parts[split], limit), choosing };
}

/** Scores documents by domain. Those that were scored before, also by a run that was killed, are not scored again. */
export async function evaluateDocuments(
  { ensemble, record }: FittedEnsemble,
  { corpus, split, seed, documents, choosing }: Selection,
  progress: ProgressBar,
): Promise<DomainReport[]> {
  if (split !== null && !wasFittedOn(record, corpus, seed)) {
    progress.note(
      `The map in use was fitted on ${record.corpus.name} with seed ${record.seed}, not on this split of ` +
        `${corpus.name}: it may have seen some of these documents.`,
    );
  }
  const exact = choosing === null ? null : await openExact(ensemble, choosing, progress);
  const scores = await scoreAll(ensemble, documents, exact, progress);
  const members = ensemble.members.map(({ info }) => info.id);
  return sumByDomain(scores).map((summed): DomainReport => {
    const own = scores.filter(({ domain }) => domain === summed.domain);
    const against = (names: readonly string[]): BestComparison =>
      compareWithBest(own, ENSEMBLE_ID, names, createRandom(seed));
    return Object.assign(summed, {
      scores: [...summed.scores, oracleScore(own, summed.domain, members)],
      comparison: against(members),
      baselines: BASELINES.filter((name) => summed.scores.some((score) => score.name === name)).map((name) =>
        against([name]),
      ),
    });
  });
}

const BASELINES = [MEAN_OF_PROBABILITIES, LOG_LINEAR_POOL, EXACT_MEAN, EXACT_POOL];

async function scoreAll(
  ensemble: Ensemble,
  documents: readonly CorpusDocument[],
  exact: KeyedBaselines | null,
  progress: ProgressBar,
): Promise<DocumentScore[]> {
  const cache = await openKeyedLines(
    scoresPath("text", modelsKey(ensemble, `${SCORES_VERSION} ${exact?.key ?? ""}${routesKey(ensemble)}`)),
    scoreSchema,
  );
  const options = { ensemble, clock: systemClock, exact: exact?.baselines ?? null };
  try {
    const scores: DocumentScore[] = [];
    progress.stage("scoring documents", documents.length, "steps");
    for (const document of documents) {
      const key = documentHash(document);
      const known = cache.get(key);
      const score = known ?? (await scoreDocument(document, options));
      if (known === undefined) await cache.add(key, score);
      scores.push({ ...score, domain: document.domain });
      progress.update(scores.length);
    }
    progress.finish();
    return scores;
  } finally {
    await cache.close();
  }
}

/** What decides the ensemble's row besides the models; nothing where it always fuses. */
function routesKey({ routes }: Ensemble): string {
  return routes.map(({ member, ratio, share }) => ` ${member} from ${ratio}, ${share}`).join("");
}

interface KeyedBaselines {
  /** What decided their weights. */
  readonly key: string;
  readonly baselines: ExactBaselines;
}

async function openExact(
  ensemble: Ensemble,
  documents: readonly CorpusDocument[],
  progress: ProgressBar,
): Promise<KeyedBaselines> {
  const options = { members: ensemble.members, clock: systemClock, progress };
  const key = createHash("sha256").update(documents.map(documentHash).join()).digest("hex");
  const cache = await openKeyedLines(
    scoresPath("exact-weights", modelsKey(ensemble, `${SCORES_VERSION} ${key}`)),
    weightsSchema,
  );
  try {
    const known = cache.get(key);
    const weights = known ?? (await chooseExactWeights({ ...options, documents }));
    if (known === undefined) await cache.add(key, weights);
    return { key, baselines: createExactBaselines(options, weights) };
  } finally {
    await cache.close();
  }
}

function documentHash({ passages }: CorpusDocument): string {
  return createHash("sha256").update(JSON.stringify(passages)).digest("hex");
}

function wasFittedOn(record: FittedEnsemble["record"], corpus: Corpus, seed: number): boolean {
  return record.corpus.sha256 === corpus.sha256 && record.seed === seed;
}

function firstOfEach(documents: readonly CorpusDocument[], limit: number | null): readonly CorpusDocument[] {
  if (limit === null) return documents;
  const taken = new Map<string, number>();
  return documents.filter(({ domain }) => {
    const count = (taken.get(domain) ?? 0) + 1;
    taken.set(domain, count);
    return count <= limit;
  });
}
