/** Bytes that arrive in pieces, as whole characters. */
export interface Utf8Stream {
  /** Takes more bytes and returns the characters they complete. Bytes that are no UTF-8 become U+FFFD. */
  push(bytes: Uint8Array): string;
  /** True while the last bytes are the beginning of a character. */
  readonly incomplete: boolean;
  /** The bytes of that beginning. */
  readonly pending: Uint8Array;
  /** What is left as text: an unfinished character becomes U+FFFD. The stream is empty afterwards. */
  flush(): string;
}

/** Length of the unfinished character at the end of `bytes`: 0 to 3. */
function unfinishedLength(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const need = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return back < need ? back : 0;
  }
  return 0;
}

export function createUtf8Stream(): Utf8Stream {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let pending: Uint8Array = new Uint8Array(0);
  return {
    push(bytes) {
      const all = new Uint8Array(pending.length + bytes.length);
      all.set(pending);
      all.set(bytes, pending.length);
      const cut = all.length - unfinishedLength(all);
      pending = all.slice(cut);
      return decoder.decode(all.subarray(0, cut));
    },
    get incomplete() {
      return pending.length > 0;
    },
    get pending() {
      return pending;
    },
    flush() {
      const rest = decoder.decode(pending);
      pending = new Uint8Array(0);
      return rest;
    },
  };
}
