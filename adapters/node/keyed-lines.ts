import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";

/** Results of a long run in a file, a line each, so that a run that was killed goes on where it was. */
export interface KeyedLines<T> {
  get(key: string): T | undefined;
  add(key: string, value: T): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens or creates a file of `{ "key", "value" }` lines. What a killed run left unfinished at the end is dropped.
 * @throws Error naming the line that holds something else; the file is then as it was
 */
export async function openKeyedLines<T>(path: string, schema: z.ZodType<T>): Promise<KeyedLines<T>> {
  const lineSchema = z.object({ key: z.string(), value: schema });
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a+");
  try {
    const lines = (await file.readFile()).toString("utf8").split("\n");
    const unfinished = lines.pop() ?? "";
    const known = new Map<string, T>();
    for (const [i, line] of lines.entries()) {
      const entry = lineSchema.safeParse(parsed(line));
      if (!entry.success) throw notOurs(path, i + 1);
      known.set(entry.data.key, entry.data.value);
    }
    if (!unfinished.startsWith(LINE_START.slice(0, unfinished.length))) throw notOurs(path, lines.length + 1);
    if (unfinished !== "") await file.truncate(Buffer.byteLength(lines.map((line) => `${line}\n`).join("")));
    return {
      get: (key) => known.get(key),
      async add(key, value) {
        known.set(key, value);
        await file.appendFile(`${JSON.stringify({ key, value })}\n`);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Every line begins so. */
const LINE_START = '{"key":"';

function notOurs(path: string, line: number): Error {
  return new Error(`${path}:${line} holds no scores, or damaged ones; name another file, or delete this one`);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
