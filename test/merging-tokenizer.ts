import type { Tokenizer } from "../src/ports/tokenizer.ts";
import { createByteTokenizer } from "./scripted-member.ts";

/**
 * The byte tokenizer with further tokens for `pieces`, which go first, the longest first. A piece with a space in it must
 * begin with it, so that texts may be cut before spaces.
 */
export function createMergingTokenizer(pieces: readonly string[]): Tokenizer {
  const bytes = createByteTokenizer();
  const base = bytes.vocabularySize;
  const encoder = new TextEncoder();
  const known = pieces.map((piece, i) => ({ piece, token: base + i }));
  known.sort((a, b) => b.piece.length - a.piece.length);
  const bytesOf = (token: number): Uint8Array =>
    token < base ? bytes.bytes(token) : encoder.encode(pieces[token - base] ?? "");
  return {
    ...bytes,
    vocabularySize: base + pieces.length,
    encode(text) {
      const ids: number[] = [];
      for (let at = 0; at < text.length;) {
        const found = known.find(({ piece }) => text.startsWith(piece, at));
        const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
        ids.push(...(found ? [found.token] : encoder.encode(character)));
        at += found ? found.piece.length : character.length;
      }
      let end = 0;
      const ends = ids.map((token) => (end += bytesOf(token).length));
      return { ids: Int32Array.from(ids), ends: Int32Array.from(ends) };
    },
    bytes: bytesOf,
    decode: (tokens) =>
      new TextDecoder().decode(Uint8Array.from([...tokens].flatMap((token) => Array.from(bytesOf(token))))),
  };
}
