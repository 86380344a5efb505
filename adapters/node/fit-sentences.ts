import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { splitCorpus, type CorpusDocument } from "../../src/ensemble/corpus.ts";
import { questionOf } from "../../src/ensemble/embedding-pairs.ts";
import { fitSentences, type SentenceMember } from "../../src/ensemble/fit-sentences.ts";
import { createSentenceEncoders } from "../../src/ensemble/sentence-encoders.ts";
import { cutSentences } from "../../src/ensemble/sentences.ts";
import { createRandom } from "../../src/linalg/random.ts";
import type { ModelInfo } from "../../src/ports/language-model.ts";
import type { SpaceDepth } from "../../src/ports/sentence-encoders.ts";
import { parseChoices } from "./choices-file.ts";
import { readCorpus, type Corpus } from "./corpus-files.ts";
import { ENCODER_IDS } from "./models/manifest.ts";
import type { OpenOptions } from "./open-members.ts";
import { encoderSources } from "./open-sentence-encoders.ts";
import {
  SENTENCE_SPACE_VERSION,
  writeSentenceSpaces,
  type SentenceSpaceRecord,
} from "./sentence-space-file.ts";

export interface SentenceFitFiles extends OpenOptions {
  /** Files of documents, see `readCorpus`; null for the English ones that come with Concord. */
  readonly corpus: readonly string[] | null;
  readonly output: string;
  readonly dimension: number;
  readonly ridge: number;
  readonly seed: number;
  /** To fit on, at most. */
  readonly sentences: number;
}

/** Principal components kept of each member: more cost their cube and changed no third digit. */
const COMPONENTS = 256;
/** Enough to tell the second digit of a share. */
const REPORT_SENTENCES = 500;

/**
 * Where the states are best, as a share of the layers; measured on held-out sentences. A probe that was trained through
 * one member serves through another best in the middle; the last layers of an encoder are what its own training made
 * alike for texts that mean the same.
 */
const DEPTHS: Readonly<Record<SpaceDepth, { readonly causal: number; readonly encoder: number }>> = {
  middle: { causal: 1 / 2, encoder: 2 / 3 },
  deep: { causal: 4 / 5, encoder: 1 },
};

/** The better one for probes first: it is the one that is used where none is named. */
const DEPTH_NAMES: readonly SpaceDepth[] = ["middle", "deep"];

/** Fits the sentence space of all members, measures it on documents held back, and writes it. */
export async function fitSentencesToFile(request: SentenceFitFiles): Promise<SentenceSpaceRecord> {
  const { dimension, ridge, seed, progress, signal } = request;
  const corpus = request.corpus === null ? await defaultSentences() : await readCorpus(request.corpus);
  const split = splitCorpus(corpus.documents, seed);
  const fit = drawSentences(split.fit, request.sentences, seed);
  const report = drawSentences(split.report, REPORT_SENTENCES, seed);
  const sources = encoderSources(request);
  const encoders = createSentenceEncoders({ sources, spaces: new Map(), space: "none yet", fitted: [] });
  try {
    const infos: ModelInfo[] = [];
    for (const id of encoders.ids) infos.push(await encoders.info(id));
    const members = infos.map((info): SentenceMember => ({
      id: info.id,
      width: info.width,
      layers: layersOf(info),
      encode: (texts, options) => encoders.encode(info.id, texts, options),
    }));
    const fitOptions = { dimension, ridge, components: COMPONENTS };
    const fitted = await fitSentences({
      ...fitOptions,
      members,
      fit,
      report,
      depths: DEPTH_NAMES,
      progress,
      signal,
    });
    const record: SentenceSpaceRecord = {
      version: SENTENCE_SPACE_VERSION,
      seed,
      ...fitOptions,
      members: infos.map(({ id, weightsHash, width }) => ({ id, weightsHash, width })),
      depths: fitted.map(({ name, space, heldOut }) => ({
        name,
        layers: space.maps.map(({ layer }) => layer),
        agreement: Array.from(space.agreement, (rho) => Math.round(1000 * rho) / 1000),
        heldOut,
      })),
      corpus: {
        name: corpus.name,
        sha256: corpus.sha256,
        sentences: { fit: fit.length, report: report.length },
      },
    };
    const spaces = new Map(fitted.map(({ name, space }) => [name, space]));
    await writeSentenceSpaces(request.output, spaces, record);
    return record;
  } finally {
    await encoders.close();
  }
}

function layersOf({ id, layers }: ModelInfo): Record<SpaceDepth, number> {
  const kind = ENCODER_IDS.includes(id) ? "encoder" : "causal";
  const at = (depth: SpaceDepth): number => Math.round(DEPTHS[depth][kind] * layers);
  return { middle: at("middle"), deep: at("deep") };
}

/** Sentences in an order that the seed decides, domains mixed, `most` at most. */
function drawSentences(documents: readonly CorpusDocument[], most: number, seed: number): string[] {
  const sentences = cutSentences(documents);
  const order = createRandom(seed).shuffle(Array.from(sentences.keys()));
  return order.slice(0, most).map((at) => sentences[at] ?? "");
}

const data = (path: string): string => fileURLToPath(new URL(`../../data/${path}`, import.meta.url));

/** English prose, talk and questions: what the encoders read. */
export const SENTENCE_TEXTS = ["corpus/encyclopaedia.jsonl", "corpus/chat.jsonl"].map(data);
export const PIQA = data("choices/piqa.jsonl");
const CHOICES = [PIQA, ...["choices/blimp.jsonl", "choices/known-facts.jsonl"].map(data)];

/** The corpus, and of the closed choices those that are there to fit on, each with its right answer. */
async function defaultSentences(): Promise<Corpus> {
  const texts = await readCorpus(SENTENCE_TEXTS);
  const hash = createHash("sha256").update(texts.sha256);
  const documents = [...texts.documents];
  for (const path of CHOICES) {
    const bytes = await readFile(path);
    hash.update(bytes);
    for (const item of parseChoices(path, bytes.toString("utf8"))) {
      if (item.split !== "fit" || typeof item.context !== "string") continue;
      const text = `${questionOf(item.context)}${item.choices[item.label] ?? ""}`.trim();
      const domain = basename(path, ".jsonl");
      documents.push({ domain, source: item.id, passages: [{ kind: "text", text }] });
    }
  }
  const name = [texts.name, ...CHOICES.map((path) => basename(path))].join(", ");
  return { name, sha256: hash.digest("hex"), documents };
}
