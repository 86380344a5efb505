import { passageText, type CorpusDocument, type Passage } from "./corpus.ts";

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
  return documents.flatMap(({ domain, source, passages }, document) =>
    passages
      .flatMap(textsOf)
      .flatMap((text) => Array.from(segmenter.segment(text), ({ segment }) => segment.trim()))
      .filter((text) => {
        if (text.length < SHORTEST || text.length > LONGEST || seen.has(text)) return false;
        seen.add(text);
        return true;
      })
      .map((text) => ({ text, domain, source, document })),
  );
}

function textsOf(passage: Passage): string[] {
  const turns = passage.kind === "chat" ? passage.messages.map(({ content }) => content) : [];
  return turns.concat(passageText(passage));
}
