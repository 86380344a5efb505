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
  const skipMissing = (from: number): number => {
    let at = from;
    while (at < source.length && missingBytes.has(source[at] ?? 0)) at += 1;
    return at;
  };
  let at = skipMissing(0);
  ids.forEach((id, i) => {
    for (const byte of bytes(id)) at = skipMissing(afterByte(source, at, byte));
    ends[i] = at;
  });
  if (at < source.length) throw misspelt(source, at);
  return ends;
}

/** Goes over the source bytes that one byte of a token stands for. */
function afterByte(source: Uint8Array, at: number, byte: number): number {
  if (source[at] === byte) return at + 1;
  const lowerBlock = byte === SPACE && LOWER_BLOCK.every((part, i) => source[at + i] === part);
  if (!lowerBlock) throw misspelt(source, at);
  return at + LOWER_BLOCK.length;
}

function misspelt(source: Uint8Array, at: number): Error {
  return new Error(
    `tokenizer: expected tokens that spell the text, but they part at byte ${at} of ${source.length}`,
  );
}
