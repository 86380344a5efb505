import { z } from "zod";
import type { ChoiceItem } from "../../src/ensemble/option-tokens.ts";
import { parseJsonLines } from "./json-lines.ts";

const itemSchema = z
  .object({
    id: z.string().min(1),
    group: z.string().optional(),
    context: z.string(),
    choices: z.array(z.string().min(1)).min(2),
    label: z.int().min(0),
    split: z.enum(["fit", "choose", "report"]).default("report"),
  })
  .refine(({ label, choices }) => label < choices.length, {
    path: ["label"],
    error: ({ input }) => {
      const { label, choices } = z.object({ label: z.number(), choices: z.array(z.unknown()) }).parse(input);
      return `expected one of the ${choices.length} choices, from 0 to ${choices.length - 1}, got ${label}`;
    },
  });

/**
 * Items of a JSONL text: see data/choices/README.md.
 * @throws Error naming the line: no JSON, a field that is not as it should be, an id that was there before; or no items
 */
export function parseChoices(name: string, text: string): ChoiceItem[] {
  const lineOf = new Map<string, number>();
  return parseJsonLines(name, text, itemSchema).map(({ line, where, value: item }) => {
    const earlier = lineOf.get(item.id);
    if (earlier !== undefined) {
      throw new Error(`${where}: id: expected one of its own, got "${item.id}" of line ${earlier}`);
    }
    lineOf.set(item.id, line);
    return item;
  });
}
