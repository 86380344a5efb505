import { readFile } from "node:fs/promises";
import { describe, expect, it, test } from "vitest";
import { parseChoices } from "../../adapters/node/choices-file.ts";

const line = (fields: object): string =>
  JSON.stringify({ id: "1", context: "2 + 2 is", choices: [" 4", " 5"], label: 0, ...fields });

describe("a file of choices", () => {
  it("is one item a line, for reporting where no split is named", () => {
    const text = `${line({})}\n\n${line({ id: "2", group: "sums", split: "choose" })}\n`;
    const [first, second] = parseChoices("quiz.jsonl", text);
    expect(first).toEqual({
      id: "1",
      context: "2 + 2 is",
      choices: [" 4", " 5"],
      label: 0,
      split: "report",
    });
    expect(second).toMatchObject({ id: "2", group: "sums", split: "choose" });
  });

  it.each([
    ["no JSON", "{", /^quiz\.jsonl:2: expected a JSON object/],
    ["another shape", "[]", /^quiz\.jsonl:2: the line: /],
    ["a missing field", '{"id":"2"}', /^quiz\.jsonl:2: context: .*; choices: .*; label: /],
    ["one choice only", line({ id: "2", choices: [" 4"] }), /^quiz\.jsonl:2: choices: /],
    ["an empty choice", line({ id: "2", choices: ["", " 5"] }), /^quiz\.jsonl:2: choices\.0: /],
    [
      "a label beyond the choices",
      line({ id: "2", label: 2 }),
      /^quiz\.jsonl:2: label: .*from 0 to 1, got 2/,
    ],
    ["an unknown split", line({ id: "2", split: "test" }), /^quiz\.jsonl:2: split: /],
    ["an id that was there", line({}), /^quiz\.jsonl:2: id: .*"1" of line 1/],
  ])("is refused with its line for %s", (_, second, message) => {
    expect(() => parseChoices("quiz.jsonl", `${line({})}\n${second}\n`)).toThrow(message);
  });

  it("is refused when there is nothing in it", () => {
    expect(() => parseChoices("quiz.jsonl", "\n")).toThrow(/got no lines/);
  });
});

test.each([
  ["piqa", 919, 2],
  ["blimp", 3400, 2],
  ["known-facts", 533, 4],
])("%s has %i items of %i choices, none twice, in all three splits", async (name, count, choices) => {
  const path = new URL(`../../data/choices/${name}.jsonl`, import.meta.url);
  const items = parseChoices(name, await readFile(path, "utf8"));
  expect(items).toHaveLength(count);
  expect(new Set(items.map((item) => new Set(item.choices).size))).toEqual(new Set([choices]));
  const texts = items.map((item) => JSON.stringify([item.context, item.choices.toSorted()]));
  expect(new Set(texts).size).toBe(count);
  const shares = ["fit", "choose", "report"].map(
    (split) => items.filter((item) => item.split === split).length / count,
  );
  expect(shares.map((share) => share.toFixed(1))).toEqual(["0.4", "0.2", "0.4"]);
});
