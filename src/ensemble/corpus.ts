import { z } from "zod";
import { createRandom } from "../linalg/random.ts";
import type { ChatMessage, Tokenizer } from "../ports/tokenizer.ts";

/** What is read at once: a text, or an answer with the turns before it. */
export type Passage =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "chat"; readonly messages: readonly ChatMessage[]; readonly answer: string };

/** What is scored of a passage. */
export function passageText(passage: Passage): string {
  return passage.kind === "chat" ? passage.answer : passage.text;
}

/** A text, or a chat: then a passage for each of the assistant's turns. */
export interface CorpusDocument {
  readonly domain: string;
  /** What it was cut from (an article, a file): a split keeps the documents of one source together. */
  readonly source: string;
  readonly passages: readonly Passage[];
}

/** Documents kept apart: maps are fitted on one part, weights chosen on another, and numbers reported on the third. */
export interface CorpusSplit {
  readonly fit: readonly CorpusDocument[];
  readonly choose: readonly CorpusDocument[];
  readonly report: readonly CorpusDocument[];
}

/** Fewer leave too little to choose and report on. */
const FEWEST_SOURCES = 10;

const written = z.string().trim().min(1);
const origin = { domain: written, source: written.optional() };
const textLine = z.strictObject({ text: z.string().min(1), ...origin });
const chatLine = z.strictObject({
  messages: z.array(
    z.strictObject({ role: z.enum(["system", "user", "assistant"]), content: z.string().min(1) }),
  ),
  ...origin,
});

export interface CorpusFile {
  /** One that ends in `.jsonl` has a document a line; any other is a text. */
  readonly name: string;
  readonly text: string;
}

/**
 * The documents of a file, in its order. A text's are separated by blank lines and of the domain `text`, each a source
 * of its own. JSONL has one a line, `{ "text", "domain" }` or `{ "messages": [{ "role", "content" }, …], "domain" }`;
 * either may name its `"source"`. Blank lines count for nothing.
 * @throws Error naming the line that is something else
 */
export function parseCorpus({ name, text }: CorpusFile): CorpusDocument[] {
  if (name.endsWith(".jsonl")) {
    return text
      .split("\n")
      .flatMap((line, i) => (line.trim() === "" ? [] : [parseLine(line, `${name}:${i + 1}`)]));
  }
  return text
    .split(/\r?\n[ \t]*\r?\n/)
    .map((document) => document.trim())
    .filter((document) => document !== "")
    .map((document, i) => ({
      domain: "text",
      source: `${name}:${i}`,
      passages: [{ kind: "text", text: document }],
    }));
}

function parseLine(line: string, place: string): CorpusDocument {
  const json = jsonObject(line, place);
  if ("messages" in json) {
    const { domain, source, messages } = validated(chatLine, json, place);
    const passages = messages.flatMap(({ role, content }, at): Passage[] =>
      role === "assistant" ? [{ kind: "chat", messages: messages.slice(0, at), answer: content }] : [],
    );
    const answered = passages.length > 0 && messages[0]?.role !== "assistant";
    if (!answered) {
      throw new Error(`${place}: expected an assistant's message after another one's`);
    }
    return { domain, source: source ?? place, passages };
  }
  const { domain, source, text } = validated(textLine, json, place);
  return { domain, source: source ?? place, passages: [{ kind: "text", text }] };
}

function jsonObject(line: string, place: string): object {
  try {
    const json: unknown = JSON.parse(line);
    if (typeof json === "object" && json !== null) return json;
  } catch {
    // Said below, with the line.
  }
  throw new Error(`${place}: expected a JSON object, got ${line.slice(0, 40)}`);
}

function validated<T>(schema: z.ZodType<T>, json: object, place: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.path.join(".") ?? "";
  throw new Error(`${place}: ${field === "" ? "" : `${field}: `}${issue?.message ?? "not a document"}`);
}

/**
 * Splits each domain by source, 80 : 10 : 10 of its documents as nearly as whole sources allow, in an order that the
 * seed decides. What else is in the corpus has no part in how a domain is split.
 * @throws Error when a domain has fewer than 10 sources
 */
export function splitCorpus(documents: readonly CorpusDocument[], seed: number): CorpusSplit {
  const split = { fit: [], choose: [], report: [] } as Record<keyof CorpusSplit, CorpusDocument[]>;
  for (const [domain, own] of grouped(documents, (document) => document.domain)) {
    const sources = [...grouped(own, (document) => document.source).values()];
    if (sources.length < FEWEST_SOURCES) {
      throw new Error(
        `corpus: expected at least ${FEWEST_SOURCES} documents of different sources in a domain, ` +
          `got ${sources.length} in ${domain}`,
      );
    }
    const held = { choose: 0, report: 0 };
    for (const at of createRandom(seed).shuffle(Array.from(sources.keys()))) {
      const source = sources[at] ?? [];
      const part = (["choose", "report"] as const).find((name) => held[name] < own.length / 10) ?? "fit";
      if (part !== "fit") held[part] += source.length;
      split[part].push(...source);
    }
  }
  return split;
}

/**
 * Documents in an order that the seed decides, domains mixed, up to about so many tokens: reading all of a large corpus
 * would take longer than it helps.
 */
export function takeTokens(
  documents: readonly CorpusDocument[],
  most: number,
  tokenizer: Tokenizer,
  seed: number,
): CorpusDocument[] {
  const taken: CorpusDocument[] = [];
  let tokens = 0;
  for (const at of createRandom(seed).shuffle(Array.from(documents.keys()))) {
    const document = documents[at];
    if (document === undefined || tokens >= most) break;
    taken.push(document);
    for (const passage of document.passages) tokens += tokenizer.encode(passageText(passage)).ids.length;
  }
  return taken;
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
