import { readFile } from "node:fs/promises";
import { splitCorpus } from "../../src/ensemble/corpus.ts";
import {
  neighbouringSentences,
  questionsAndAnswers,
  turnsAndAnswers,
} from "../../src/ensemble/embedding-pairs.ts";
import {
  evaluateEmbeddings,
  type EmbeddingReport,
  type PairSet,
} from "../../src/ensemble/evaluate-embeddings.ts";
import { parseChoices } from "./choices-file.ts";
import { readCorpus } from "./corpus-files.ts";
import { PIQA, SENTENCE_TEXTS } from "./fit-sentences.ts";
import { MEMBER_IDS, type OpenOptions } from "./open-members.ts";
import { nativeVectors, openSentenceEncoders } from "./open-sentence-encoders.ts";

export interface EmbeddingEvaluation extends OpenOptions {
  /** Of the fit: decides which documents it held back. */
  readonly seed: number;
  /** Pairs of each set, at most. */
  readonly limit: number;
}

/** Every way to make vectors, on pairs that come with Concord and that no fit of this seed has seen. */
export async function evaluateShippedPairs(request: EmbeddingEvaluation): Promise<EmbeddingReport> {
  const { seed, progress, signal } = request;
  const sets = await shippedPairs(request);
  const encoders = await openSentenceEncoders(request);
  try {
    const space = encoders.spaces.get("deep");
    if (space === undefined) throw new Error("the sentence map has no deep layer: concord fit sentences");
    const infos = await Promise.all(MEMBER_IDS.map((id) => encoders.info(id)));
    const natives = nativeVectors(
      encoders.spaces,
      infos.map((info) => ({ info })),
    );
    return await evaluateEmbeddings({ encoders, natives, space, sets, seed, progress, signal });
  } finally {
    await encoders.close();
  }
}

async function shippedPairs({ seed, limit }: EmbeddingEvaluation): Promise<PairSet[]> {
  const { documents } = await readCorpus(SENTENCE_TEXTS);
  const { report } = splitCorpus(documents, seed);
  const items = parseChoices(PIQA, await readFile(PIQA, "utf8")).filter(({ split }) => split === "report");
  const articles = report.filter(({ domain }) => domain === "encyclopaedia");
  return [
    { name: "neighbours", pairs: neighbouringSentences(articles).slice(0, limit) },
    { name: "chat", pairs: turnsAndAnswers(report).slice(0, limit) },
    { name: "PIQA", pairs: questionsAndAnswers(items).slice(0, limit) },
  ];
}
