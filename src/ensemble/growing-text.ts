import type { Encoding, Tokenizer } from "../ports/tokenizer.ts";

/** A text that grows at its end, and its canonical tokens. */
export interface GrowingText {
  /** Token ids (t) of the text so far. */
  readonly ids: Int32Array;
  /** Where each token ends, in UTF-8 bytes (t). */
  readonly ends: Int32Array;
  /** t. */
  readonly length: number;
  /** Puts `text` after what is there. Cost: reading from the last cut, see `cutBefore`. */
  append(text: string): Growth;
}

/** What an append did to the tokens. */
export interface Growth {
  /** Tokens of the former text that stay. */
  readonly keep: number;
  /** The tokens after them. */
  readonly tail: Int32Array;
}

export function createGrowingText(tokenizer: Tokenizer, initial: string): GrowingText {
  let text = initial;
  let { ids, ends } = tokenizer.encode(initial);
  /** UTF-8 bytes of the text. */
  let bytes = utf8Length(initial);
  return {
    get ids() {
      return ids;
    },
    get ends() {
      return ends;
    },
    get length() {
      return ids.length;
    },
    append(more) {
      const whole = text + more;
      const cut = cutBefore(whole, text.length);
      const cutBytes = bytes - utf8Length(text.slice(cut));
      const fixed = countUpTo(ends, cutBytes);
      const fresh = tokenizer.encode(whole.slice(cut));
      const keep = fixed + commonLength(ids.subarray(fixed), fresh.ids);
      ids = concatenate(ids.subarray(0, fixed), fresh.ids);
      ends = concatenate(
        ends.subarray(0, fixed),
        fresh.ends.map((end) => cutBytes + end),
      );
      text = whole;
      bytes = cutBytes + utf8Length(whole.slice(cut));
      return { keep, tail: ids.slice(keep) };
    },
  };
}

/** Canonical tokens of a beginning of a text: as many of the whole text's as are the same, then its own. */
export interface PrefixEncoding {
  readonly shared: number;
  readonly tail: Int32Array;
}

/**
 * Canonical tokens of the beginnings `text[0..c]` for ascending byte offsets c; null where c is within a character.
 * Each costs reading from the last cut before c, see `cutBefore`.
 * @throws RangeError when an offset descends or lies outside the text
 */
export function encodePrefixes(
  tokenizer: Tokenizer,
  text: string,
  offsets: readonly number[],
): (PrefixEncoding | null)[] {
  const whole = tokenizer.encode(text);
  const positions = positionsOf(text, offsets);
  return offsets.map((offset, i) => {
    const position = positions[i];
    return position == null ? null : encodePrefix(tokenizer, text, whole, offset, position);
  });
}

function encodePrefix(
  tokenizer: Tokenizer,
  text: string,
  whole: Encoding,
  offset: number,
  position: number,
): PrefixEncoding {
  const cut = cutBefore(text, position);
  const own = text.slice(cut, position);
  const fixed = countUpTo(whole.ends, offset - utf8Length(own));
  const { ids } = tokenizer.encode(own);
  const shared = commonLength(whole.ids.subarray(fixed), ids);
  return { shared: fixed + shared, tail: ids.slice(shared) };
}

/** A space, tab or line feed after a character that is neither white space nor `>` nor U+2581: see the port's `encode`. */
const CUT = /[^\s\u0085>\u2581][ \t\n]/;

/** The last place up to `position` at which the tokens of both sides are the tokens of the whole; 0 where there is none. */
function cutBefore(text: string, position: number): number {
  for (let at = position; at > 0; at -= 1) {
    if (CUT.test(text.slice(at - 1, at + 1))) return at;
  }
  return 0;
}

/**
 * The string index of each byte offset; null within a character. An unpaired surrogate counts three bytes, as the
 * U+FFFD that it is read as.
 */
function positionsOf(text: string, offsets: readonly number[]): (number | null)[] {
  let position = 0;
  let bytes = 0;
  let previous = 0;
  return offsets.map((offset) => {
    if (!(offset >= previous)) {
      throw new RangeError(
        `prefixes: expected ascending byte offsets from 0 on, got ${offset} after ${previous}`,
      );
    }
    previous = offset;
    while (bytes < offset) {
      const character = text.codePointAt(position);
      if (character === undefined) {
        throw new RangeError(`prefixes: byte offset ${offset} lies after the text's ${bytes} bytes`);
      }
      bytes += characterBytes(character);
      position += character > 0xffff ? 2 : 1;
    }
    return bytes === offset ? position : null;
  });
}

function characterBytes(codePoint: number): number {
  if (codePoint < 0x80) return 1;
  if (codePoint < 0x800) return 2;
  return codePoint < 0x10000 ? 3 : 4;
}

const encoder = new TextEncoder();

function utf8Length(text: string): number {
  return encoder.encode(text).length;
}

/** How many of the ascending `ends` are at most `limit`. */
function countUpTo(ends: Int32Array, limit: number): number {
  const after = ends.findIndex((end) => end > limit);
  return after < 0 ? ends.length : after;
}

/** How many numbers two runs share at their beginning. */
export function commonLength(a: Int32Array, b: Int32Array): number {
  const differing = a.findIndex((value, i) => value !== b[i]);
  return differing < 0 ? a.length : differing;
}

function concatenate(a: Int32Array, b: Int32Array): Int32Array {
  const whole = new Int32Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}
