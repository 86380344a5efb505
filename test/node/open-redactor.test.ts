import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openRedactor } from "../../adapters/node/open-redactor.ts";

let folder: string;
let warnings: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "concord-redactor-"));
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (named: string) => openRedactor(named, (line) => warnings.push(line));

function written(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

test("kinds by their names take out what they are for, and nothing else", async () => {
  const redact = await open("email, ipv4");
  expect(redact("a@example.org from 10.0.0.1 called +49 30 901820")).toBe(
    "[email] from [ipv4] called +49 30 901820",
  );
});

test("a file has kinds, and patterns with what stands instead", async () => {
  const path = written("rules.json", {
    kinds: ["email"],
    patterns: [
      { pattern: "\\bpatient (\\d+)", flags: "i", replacement: "patient #" },
      { pattern: "\\p{Lu}{3}-\\d" },
    ],
  });
  expect((await open(path))("Patient 123 and PATIENT 4: x@y.org, ÄBC-7")).toBe(
    "patient # and patient #: [email], [redacted]",
  );
});

test("a module decides itself, and where it fails nothing is kept and it is said", async () => {
  const module = `export function redact(text) {
    if (text === "throw") throw new Error("no such rule");
    if (text === "later") return Promise.resolve("x");
    return text.includes("secret") ? null : text.toUpperCase();
  }`;
  const redact = await open(written("redact.mjs", module));
  expect([redact("fine"), redact("a secret"), redact("throw"), redact("later")]).toEqual([
    "FINE",
    null,
    null,
    null,
  ]);
  expect(warnings).toEqual([
    expect.stringContaining("no such rule; this text is not kept"),
    expect.stringContaining("expected a string or null, got object; this text is not kept"),
  ]);
});

test.each([
  ["emails", null, "expected some of email, card, iban, phone, ipv4, a .json file or a module"],
  ["rules.json", "[]", "expected a JSON object"],
  ["rules.json", {}, "expected a kind or a pattern at least, got none"],
  ["rules.json", { kinds: ["name"] }, "one of email, card"],
  ["rules.json", { rules: [] }, "rules"],
  ["rules.json", { patterns: [{ pattern: "(" }] }, "Invalid regular expression"],
  ["rules.json", { patterns: [{ pattern: "x*" }] }, "expected one that an empty text does not match"],
  ["redact.mjs", "export const redact = 1;", "expected a module that exports a function redact, got number"],
  ["redact.mjs", "export default 1;", "got undefined"],
])("redact %s with %j is refused: %s", async (name, content, message) => {
  const path = content === null ? name : written(name, content);
  await expect(open(path)).rejects.toThrow(message);
});

test("a file that is not there is named", async () => {
  await expect(open(join(folder, "none.json"))).rejects.toThrow(/none\.json: ENOENT/);
  await expect(open(join(folder, "none.mjs"))).rejects.toThrow(/none\.mjs/);
});
