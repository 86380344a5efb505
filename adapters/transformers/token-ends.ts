const SPACE = 0x20;

/** U+2581 in UTF-8: SentencePiece reads it as a space. */
const LOWER_BLOCK = [0xe2, 0x96, 0x81] as const;

/**
 * Where each token ends in the text it was made of: `ends[i]` (t), in bytes.
 * Bytes that no token holds belong to the token before them, or to the first where none is before.
 * @param source the text's UTF-8 bytes
 * @throws Error when the tokens do not spell the text
 */
export function tokenEnds(
  source: Uint8Array,
  ids: Int32Array,
  bytes: (token: number) => Uint8Array,
  missingBytes: ReadonlySet<number>,
): Int32Array {
  const ends = new Int32Array(ids.length);
  let at = skipMissing(source, 0, missingBytes);
  ids.forEach((id, i) => {
    at = skipMissing(source, spell(source, at, bytes(id)), missingBytes);
    ends[i] = at;
  });
  if (at < source.length) throw misspelt(source, at);
  return ends;
}

function skipMissing(source: Uint8Array, from: number, missingBytes: ReadonlySet<number>): number {
  if (missingBytes.size === 0) return from;
  let at = from;
  while (at < source.length && missingBytes.has(source[at] ?? 0)) at += 1;
  return at;
}

/** Goes over the source bytes that one token's bytes stand for. */
function spell(source: Uint8Array, from: number, token: Uint8Array): number {
  let at = from;
  for (const byte of token) {
    if (source[at] === byte) at += 1;
    else if (byte === SPACE && LOWER_BLOCK.every((part, i) => source[at + i] === part))
      at += LOWER_BLOCK.length;
    else throw misspelt(source, at);
  }
  return at;
}

function misspelt(source: Uint8Array, at: number): Error {
  return new Error(
    `tokenizer: expected tokens that spell the text, but they part at byte ${at} of ${source.length}`,
  );
}
