import { passageText, type CorpusDocument, type Passage } from "./corpus.ts";

/** Shorter ones say little, longer ones are tables or code; UTF-16 units. */
const SHORTEST = 12;
const LONGEST = 400;

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

/** The sentences of documents in their order, each once; what the turns of a chat say counts as text of its own. */
export function cutSentences(documents: readonly CorpusDocument[]): string[] {
  const sentences = documents
    .flatMap(({ passages }) => passages.flatMap(textsOf))
    .flatMap((text) => Array.from(segmenter.segment(text), ({ segment }) => segment.trim()))
    .filter((text) => text.length >= SHORTEST && text.length <= LONGEST);
  return [...new Set(sentences)];
}

function textsOf(passage: Passage): string[] {
  const turns = passage.kind === "chat" ? passage.messages.map(({ content }) => content) : [];
  return turns.concat(passageText(passage));
}
