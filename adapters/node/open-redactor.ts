import { readFile } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import type { Redactor } from "../../src/ensemble/kept-text.ts";
import {
  redactBy,
  REDACTED_KINDS,
  ruleOf,
  type RedactedKind,
  type RedactionRule,
} from "../../src/ensemble/redactors.ts";
import { readFields } from "../../src/gateway/invalid-field.ts";

const kind = z.enum(
  REDACTED_KINDS as [RedactedKind, ...RedactedKind[]],
  `one of ${REDACTED_KINDS.join(", ")}`,
);
const ruleFile = z.strictObject(
  {
    kinds: z.array(kind, "an array of kinds").default([]),
    patterns: z
      .array(
        z.strictObject(
          {
            pattern: z.string("a regular expression").min(1, "a regular expression"),
            flags: z
              .string("some of i, m, s")
              .regex(/^[ims]*$/, "some of i, m, s")
              .default(""),
            replacement: z.string("a text").default("[redacted]"),
          },
          "an object with pattern",
        ),
        "an array of patterns",
      )
      .default([]),
  },
  "an object with kinds and patterns",
);

/**
 * What `serve --redact` names: kinds (`email,card`), a JSON file of kinds and patterns, or a module whose export `redact`
 * takes a text and gives it as it may be kept, or null where it may not be.
 * @param warn told when a module fails on a text, of which nothing is kept then
 * @throws Error naming what is wrong with it
 */
export async function openRedactor(named: string, warn: (line: string) => void): Promise<Redactor> {
  switch (extname(named)) {
    case "": {
      const kinds = named.split(",").map((name) => kind.safeParse(name.trim()).data);
      if (kinds.every((one) => one !== undefined)) return redactBy(kinds.map(ruleOf));
      throw new Error(
        `redact: expected some of ${REDACTED_KINDS.join(", ")}, a .json file or a module, got ${JSON.stringify(named)}`,
      );
    }
    case ".json":
      return redactBy(await readRules(named));
    default:
      return openModule(named, warn);
  }
}

async function readRules(path: string): Promise<RedactionRule[]> {
  try {
    const parsed: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
      throw new Error("expected a JSON object with kinds and patterns");
    }
    const { kinds, patterns } = readFields(ruleFile, { ...parsed });
    if (kinds.length + patterns.length === 0)
      throw new Error("expected a kind or a pattern at least, got none");
    return [
      ...kinds.map(ruleOf),
      ...patterns.map(({ pattern, flags, replacement }) => ({
        pattern: compiled(pattern, flags),
        replacement,
      })),
    ];
  } catch (error) {
    throw new Error(`redact: ${path}: ${messageOf(error)}`, { cause: error });
  }
}

function compiled(pattern: string, flags: string): RegExp {
  const made = new RegExp(pattern, `gu${flags}`);
  if (made.test("")) throw new Error(`pattern ${pattern}: expected one that an empty text does not match`);
  return made;
}

async function openModule(path: string, warn: (line: string) => void): Promise<Redactor> {
  let exported: unknown;
  try {
    exported = ((await import(pathToFileURL(resolve(path)).href)) as { readonly redact?: unknown }).redact;
  } catch (error) {
    throw new Error(`redact: ${path}: ${messageOf(error)}`, { cause: error });
  }
  if (typeof exported !== "function") {
    throw new Error(
      `redact: ${path}: expected a module that exports a function redact, got ${typeof exported}`,
    );
  }
  const redact = exported as (text: string) => unknown;
  return (text) => {
    try {
      const left = redact(text);
      if (typeof left === "string" || left === null) return left;
      warn(`redact: ${path}: expected a string or null, got ${typeof left}; this text is not kept`);
    } catch (error) {
      warn(`redact: ${path}: ${messageOf(error)}; this text is not kept`);
    }
    return null;
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
