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
 * @throws Error naming the line that holds something else
 */
export async function openKeyedLines<T>(path: string, schema: z.ZodType<T>): Promise<KeyedLines<T>> {
  const lineSchema = z.object({ key: z.string(), value: schema });
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a+");
  try {
    const bytes = await file.readFile();
    const whole = bytes.lastIndexOf("\n") + 1;
    await file.truncate(whole);
    const known = new Map<string, T>();
    for (const [i, line] of bytes.subarray(0, whole).toString("utf8").split("\n").slice(0, -1).entries()) {
      const entry = lineSchema.safeParse(parsed(line));
      if (!entry.success) throw new Error(`${path}:${i + 1} is damaged; delete the file and score anew`);
      known.set(entry.data.key, entry.data.value);
    }
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

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
