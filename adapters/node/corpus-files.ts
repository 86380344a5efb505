import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseCorpus, type CorpusDocument } from "../../src/ensemble/corpus.ts";

/** Text of four domains that comes with Concord. */
export const DEFAULT_CORPUS: readonly string[] = ["encyclopaedia", "chat", "code", "german-french"].map(
  (name) => fileURLToPath(new URL(`../../data/corpus/${name}.jsonl`, import.meta.url)),
);

export interface Corpus {
  /** The files' names, without their folders. */
  readonly name: string;
  /** Of the files' bytes, in their order, hex. */
  readonly sha256: string;
  readonly documents: readonly CorpusDocument[];
}

/**
 * Documents of files, see `parseCorpus`.
 * @param wholeTexts a text is one document, blank lines and all
 * @throws Error naming the file and line that is no document, or an empty file
 */
export async function readCorpus(paths: readonly string[], wholeTexts = false): Promise<Corpus> {
  const hash = createHash("sha256");
  const documents: CorpusDocument[] = [];
  for (const path of paths) {
    const bytes = await readFile(path);
    hash.update(bytes);
    const text = bytes.toString("utf8");
    const own =
      wholeTexts && !path.endsWith(".jsonl") ? wholeText(path, text) : parseCorpus({ name: path, text });
    if (own.length === 0) throw new Error(`${path}: expected documents, got none`);
    documents.push(...own);
  }
  return {
    name: paths.map((path) => basename(path)).join(", "),
    sha256: hash.digest("hex"),
    documents,
  };
}

function wholeText(path: string, text: string): CorpusDocument[] {
  return text === "" ? [] : [{ domain: "text", source: path, passages: [{ kind: "text", text }] }];
}
