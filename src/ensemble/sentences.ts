import { passageText, type CorpusDocument } from "./corpus.ts";

/** A sentence with what it was cut from. */
export interface Sentence {
  readonly text: string;
  readonly domain: string;
  readonly source: string;
  /** What it was cut from, by number: neighbours in a list are neighbours in the text where this is the same. */
  readonly document: number;
}

/** Shorter ones say little, longer ones are tables or code; UTF-16 units. */
const SHORTEST = 12;
const LONGEST = 400;

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

/** The sentences of documents in their order, each text once; what the turns of a chat say counts as text of its own. */
export function cutSentences(documents: readonly CorpusDocument[]): Sentence[] {
  const seen = new Set<string>();
  const sentences: Sentence[] = [];
  for (const [at, { domain, source, passages }] of documents.entries()) {
    for (const text of passages.flatMap((passage) => [
      ...(passage.kind === "chat" ? passage.messages.map(({ content }) => content) : []),
      passageText(passage),
    ])) {
      for (const { segment } of segmenter.segment(text)) {
        const sentence = segment.trim();
        if (sentence.length < SHORTEST || sentence.length > LONGEST || seen.has(sentence)) continue;
        seen.add(sentence);
        sentences.push({ text: sentence, domain, source, document: at });
      }
    }
  }
  return sentences;
}
