import { describe, expect, it } from "vitest";
import { parseCorpus, splitCorpus, type CorpusDocument } from "../../src/ensemble/corpus.ts";

const user = { role: "user", content: "Why?" };
const assistant = { role: "assistant", content: "Because." };

function jsonl(...lines: readonly unknown[]): CorpusDocument[] {
  const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n");
  return parseCorpus({ name: "data.jsonl", text });
}

describe("a file of documents", () => {
  it("that is no JSONL is a text, its documents separated by blank lines", () => {
    const documents = parseCorpus({ name: "notes.txt", text: "one\nstill one\n\n \ntwo\r\n\r\nthree\n" });
    expect(documents.map(({ passages }) => passages)).toEqual([
      [{ kind: "text", text: "one\nstill one" }],
      [{ kind: "text", text: "two" }],
      [{ kind: "text", text: "three" }],
    ]);
    expect(new Set(documents.map(({ domain }) => domain))).toEqual(new Set(["text"]));
    expect(new Set(documents.map(({ source }) => source)).size).toBe(3);
  });

  it("has a text or a chat a line, and a passage for each of the assistant's turns", () => {
    const [text, chat] = jsonl({ text: "  A text.\n", domain: "prose", source: "a book" }, "", {
      messages: [user, assistant, user, assistant],
      domain: "chat",
    });
    expect(text).toEqual({
      domain: "prose",
      source: "a book",
      passages: [{ kind: "text", text: "  A text.\n" }],
    });
    expect(chat).toEqual({
      domain: "chat",
      source: "data.jsonl:3",
      passages: [
        { kind: "chat", messages: [user], answer: "Because." },
        { kind: "chat", messages: [user, assistant, user], answer: "Because." },
      ],
    });
  });

  it.each([
    ["no JSON", "{", "data.jsonl:2: expected a JSON object, got {"],
    ["no object", "7", "data.jsonl:2: expected a JSON object, got 7"],
    ["neither a text nor a chat", { domain: "prose" }, "data.jsonl:2: text: "],
    ["without a domain", { text: "A text." }, "data.jsonl:2: domain: "],
    ["with an empty text", { text: "", domain: "prose" }, "data.jsonl:2: text: "],
    ["with a field that means nothing", { text: "A", domain: "prose", label: 1 }, "data.jsonl:2: "],
    [
      "with an unknown role",
      { messages: [{ ...user, role: "bot" }], domain: "chat" },
      "data.jsonl:2: messages.0.role: ",
    ],
    [
      "with a chat that nobody answers",
      { messages: [user], domain: "chat" },
      "data.jsonl:2: expected an assistant's",
    ],
    [
      "with an answer to nothing",
      { messages: [assistant], domain: "chat" },
      "data.jsonl:2: expected an assistant's",
    ],
  ])("%s is refused by its line", (_, line, message) => {
    expect(() => jsonl({ text: "Fine.", domain: "prose" }, line)).toThrow(message);
  });
});

function documentsOf(domain: string, sources: number, each: number): CorpusDocument[] {
  return Array.from({ length: sources * each }, (_, i) => ({
    domain,
    source: `${domain} ${i % sources}`,
    passages: [{ kind: "text", text: `${domain} ${i}` }],
  }));
}

function proseOfReport(documents: readonly CorpusDocument[], seed: number): CorpusDocument[] {
  return splitCorpus(documents, seed).report.filter(({ domain }) => domain === "prose");
}

describe("a split", () => {
  const documents = [...documentsOf("prose", 30, 4), ...documentsOf("code", 100, 1)];
  const split = splitCorpus(documents, 1);
  const parts = [split.fit, split.choose, split.report];

  it("has every document once", () => {
    const texts = parts.flat().map(({ passages }) => JSON.stringify(passages));
    expect(texts).toHaveLength(documents.length);
    expect(new Set(texts).size).toBe(documents.length);
  });

  it("keeps the documents of a source on one side", () => {
    const sides = parts.map((part) => new Set(part.map(({ source }) => source)));
    const all = sides.flatMap((side) => Array.from(side));
    expect(new Set(all).size).toBe(all.length);
  });

  it("is 80 : 10 : 10 of each domain, as nearly as whole sources allow", () => {
    const prose = parts.map((part) => part.filter(({ domain }) => domain === "prose").length);
    expect(prose).toEqual([96, 12, 12]);
    expect(parts.map((part) => part.length - part.filter(({ domain }) => domain === "prose").length)).toEqual(
      [80, 10, 10],
    );
  });

  it("is the same for the same seed, another for another, and not changed by other domains", () => {
    expect(proseOfReport(documents, 1)).toEqual(split.report.filter(({ domain }) => domain === "prose"));
    expect(proseOfReport(documentsOf("prose", 30, 4), 1)).toEqual(proseOfReport(documents, 1));
    expect(proseOfReport(documents, 2)).not.toEqual(proseOfReport(documents, 1));
  });

  it("of too few sources is refused, whatever their number of documents", () => {
    expect(() => splitCorpus([...documents, ...documentsOf("chat", 9, 50)], 1)).toThrow(
      "expected at least 10 documents of different sources in a domain, got 9 in chat",
    );
  });
});
