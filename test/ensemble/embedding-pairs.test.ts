import { describe, expect, test } from "vitest";
import {
  neighbouringSentences,
  questionOf,
  questionsAndAnswers,
  turnsAndAnswers,
} from "../../src/ensemble/embedding-pairs.ts";
import type { CorpusDocument, Passage } from "../../src/ensemble/corpus.ts";

const document = (...passages: Passage[]): CorpusDocument => ({ domain: "any", source: "one", passages });
const prose = (text: string): CorpusDocument => document({ kind: "text", text });
const chat = (asked: string, answer: string): CorpusDocument =>
  document({
    kind: "chat",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: asked },
    ],
    answer,
  });
const item = { id: "a", choices: [" Yes.", " No."], label: 1, split: "report" } as const;

describe("pairs of texts that belong together", () => {
  test("neighbours are disjoint, and one left over is left out", () => {
    const text =
      "The first sentence. The second sentence. The third sentence. The fourth sentence. The fifth one.";
    expect(neighbouringSentences([prose(text), prose("Alone as it can be.")])).toEqual([
      { left: "The first sentence.", right: "The second sentence." },
      { left: "The third sentence.", right: "The fourth sentence." },
    ]);
  });

  test("an answer belongs to the turn before it, and prose has none", () => {
    expect(turnsAndAnswers([chat("Which river?", "The Loire."), prose("No turn at all.")])).toEqual([
      { left: "Which river?", right: "The Loire." },
    ]);
  });

  test("the right choice belongs to the question without its frame", () => {
    expect(questionsAndAnswers([{ ...item, context: "Question: Is it?\nAnswer:" }])).toEqual([
      { left: "Is it?", right: "No." },
    ]);
    expect(questionOf("The capital of France is")).toBe("The capital of France is");
  });

  test("a text that was there, one too long, one without a context and one equal to its partner make no pair", () => {
    const pairs = turnsAndAnswers([
      chat("Which river?", "The Loire."),
      chat("Which one is long?", "The Loire."),
      chat("Which river?", "The Seine."),
      chat("Tell it all", "x".repeat(801)),
      chat("The same", "The same"),
    ]);
    expect(pairs).toHaveLength(1);
    expect(questionsAndAnswers([{ ...item, context: "" }])).toEqual([]);
  });
});
