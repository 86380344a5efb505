/** sha256 of a list of strings, no two lists alike. */
export async function sha256(parts: readonly string[]): Promise<Uint8Array> {
  const bytes = new TextEncoder().encode(JSON.stringify(parts));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** The first `count` bytes of that in hex. */
async function shortHash(parts: readonly string[], count: number): Promise<string> {
  const digest = await sha256(parts);
  return Array.from(digest.subarray(0, count), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * What stands for a user or a header's value in the database, the same in all experiments: 128 bits. It hides no value that
 * can be guessed.
 */
export function unitKey(kind: string, value: string): Promise<string> {
  return shortHash([kind, value], 16);
}

/** What stands for a choice: 64 bits, so that a demonstration can be compared with choices that are not kept. */
export function choiceHash(value: string): Promise<string> {
  return shortHash(["choice", value], 8);
}
