import type { z } from "zod";

export interface JsonLine<T> {
  /** From 1. */
  readonly line: number;
  /** `file:line`, for error messages. */
  readonly where: string;
  readonly value: T;
}

/**
 * Reads a JSONL text; empty lines are passed over.
 * @throws Error naming the line: no JSON, or a field that is not as it should be; or when there are no lines
 */
export function parseJsonLines<T>(name: string, text: string, schema: z.ZodType<T>): JsonLine<T>[] {
  const read = text.split("\n").flatMap((line, i): JsonLine<T>[] => {
    if (line.trim() === "") return [];
    const where = `${name}:${i + 1}`;
    return [{ line: i + 1, where, value: parseLine(where, line, schema) }];
  });
  if (read.length === 0) throw new Error(`${name}: expected one JSON object a line, got no lines`);
  return read;
}

function parseLine<T>(where: string, line: string, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(parseJson(where, line));
  if (parsed.success) return parsed.data;
  const told = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "the line"}: ${message}`);
  throw new Error(`${where}: ${told.join("; ")}`);
}

function parseJson(where: string, line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${where}: expected a JSON object, got something else: ${reason}`, { cause: error });
  }
}
