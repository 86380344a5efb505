import { z } from "zod";
import { parseJsonLines } from "./json-lines.ts";

/** A text and what it is. */
export interface LabelledText {
  readonly text: string;
  /** A class, or a value. */
  readonly label: string | number;
  readonly split: "fit" | "choose" | "report";
}

const lineSchema = z.object({
  text: z.string().min(1),
  label: z.union([z.string().min(1), z.number()]),
  split: z.enum(["fit", "choose", "report"]).default("fit"),
});

/**
 * Labelled texts of a JSONL text: see data/classification/README.md.
 * @throws Error naming the line that is not as it should be; or when there are none, or classes and values are mixed
 */
export function parseExamples(name: string, text: string): LabelledText[] {
  const lines = parseJsonLines(name, text, lineSchema);
  const kind = typeof lines[0]?.value.label;
  const other = lines.find(({ value }) => typeof value.label !== kind);
  if (other !== undefined) {
    throw new Error(
      `${other.where}: label: expected a ${kind} as before, got a ${typeof other.value.label}: all are classes (strings) or all are values (numbers)`,
    );
  }
  return lines.map(({ value }) => value);
}
