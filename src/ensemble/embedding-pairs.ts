import type { CorpusDocument } from "./corpus.ts";
import type { ChoiceItem } from "./option-tokens.ts";
import { cutSentences } from "./sentences.ts";

/** Two texts that belong together: with good vectors each is the other's nearest among those of all pairs. */
export interface TextPair {
  readonly left: string;
  readonly right: string;
}

/** Longer ones would not fit the context of every encoder; UTF-16 units. */
const LONGEST = 800;

/** Of each document its first sentence with its second, its third with its fourth, and so on. */
export function neighbouringSentences(documents: readonly CorpusDocument[]): TextPair[] {
  return distinct(
    documents.flatMap((document) => {
      const sentences = cutSentences([document]);
      return sentences.flatMap((right, at) => {
        const left = sentences[at - 1];
        return at % 2 === 1 && left !== undefined ? [{ left, right }] : [];
      });
    }),
  );
}

/** What was said last with the answer to it. */
export function turnsAndAnswers(documents: readonly CorpusDocument[]): TextPair[] {
  return distinct(
    documents.flatMap(({ passages }) =>
      passages.flatMap((passage) => {
        const left = passage.kind === "chat" ? passage.messages.at(-1)?.content : undefined;
        return passage.kind === "chat" && left !== undefined ? [{ left, right: passage.answer }] : [];
      }),
    ),
  );
}

/** The question with its right answer. */
export function questionsAndAnswers(items: readonly ChoiceItem[]): TextPair[] {
  return distinct(
    items.flatMap(({ context, choices, label }) =>
      typeof context === "string"
        ? [{ left: questionOf(context).trim(), right: (choices[label] ?? "").trim() }]
        : [],
    ),
  );
}

/** What an item asks, without the frame that tells a language model to answer; a choice may follow it. */
export function questionOf(context: string): string {
  return context.replace(/^Question: /, "").replace(/\nAnswer:$/, "\n");
}

/** Pairs of which neither text was in an earlier one: a text that is there twice has no right answer. */
function distinct(pairs: readonly TextPair[]): TextPair[] {
  const seen = new Set<string>();
  return pairs.filter(({ left, right }) => {
    const texts = [left, right];
    const fits = texts.every((text) => text !== "" && text.length <= LONGEST && !seen.has(text));
    if (fits) for (const text of texts) seen.add(text);
    return fits && left !== right;
  });
}
