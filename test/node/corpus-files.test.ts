import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { DEFAULT_CORPUS, readCorpus } from "../../adapters/node/corpus-files.ts";
import { splitCorpus } from "../../src/ensemble/corpus.ts";

const choiceSchema = z.object({
  context: z.string(),
  choices: z.array(z.string()),
  label: z.int(),
  split: z.string(),
});

describe("the default corpus", () => {
  it("has four domains, each large enough to be split", async () => {
    const { documents, name } = await readCorpus(DEFAULT_CORPUS);
    expect(name).toBe("encyclopaedia.jsonl, chat.jsonl, code.jsonl, german-french.jsonl");
    const { fit, choose, report } = splitCorpus(documents, 1);
    for (const part of [fit, choose, report]) {
      expect(new Set(part.map(({ domain }) => domain))).toEqual(
        new Set(["encyclopaedia", "chat", "code", "german and french"]),
      );
    }
    expect(fit.length + choose.length + report.length).toBe(documents.length);
  });

  it("holds no answer that closed choices are chosen or reported on", async () => {
    const { documents } = await readCorpus(DEFAULT_CORPUS);
    const answers = new Set(
      documents.flatMap(({ passages }) =>
        passages.map((passage) => (passage.kind === "chat" ? passage.answer : passage.text)),
      ),
    );
    const file = await readFile(new URL("../../data/choices/piqa.jsonl", import.meta.url), "utf8");
    const items = file
      .trim()
      .split("\n")
      .map((line) => choiceSchema.parse(JSON.parse(line)));
    const rights = (split: string): string[] =>
      items.filter((item) => item.split === split).map(({ choices, label }) => choices[label]?.trim() ?? "");
    expect(rights("fit").filter((answer) => answers.has(answer)).length).toBeGreaterThan(300);
    expect([...rights("choose"), ...rights("report")].filter((answer) => answers.has(answer))).toEqual([]);
  });

  it("is known by the bytes of all its files, in their order", async () => {
    const [first = "", second = ""] = DEFAULT_CORPUS;
    const { sha256 } = await readCorpus([first, second]);
    expect((await readCorpus([second, first])).sha256).not.toBe(sha256);
    expect((await readCorpus([first])).sha256).not.toBe(sha256);
  });
});
