/** Random access to the bytes of a weight file, wherever they lie. */
export interface ByteSource {
  /** Bytes in all. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset` on; the caller may not change them.
   * @throws RangeError when the range is not within the source
   */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** @throws RangeError unless [offset, offset + length) is a range of whole bytes within `size` */
export function checkRange(offset: number, length: number, size: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (!whole || offset < 0 || length < 0 || offset + length > size) {
    throw new RangeError(`read: ${length} bytes at ${offset} asked of a source of ${size} bytes`);
  }
}

/** Bytes in memory as a source; reads are views, not copies. */
export function bytesOf(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.byteLength,
    async read(offset, length) {
      checkRange(offset, length, bytes.byteLength);
      return bytes.subarray(offset, offset + length);
    },
  };
}
