import { decodeBase64, encodeBase64 } from "hono/utils/encode";

const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Single precision, little-endian, in base64: as OpenAI's clients read vectors. */
export function encodeFloat32s(values: Float32Array): string {
  const view = new DataView(new ArrayBuffer(values.length * BYTES));
  for (const [i, x] of values.entries()) view.setFloat32(i * BYTES, x, true);
  return encodeBase64(view.buffer);
}

/** The inverse; null for what is no base64 of whole numbers. */
export function decodeFloat32s(text: string): Float32Array | null {
  try {
    const bytes = decodeBase64(text);
    if (bytes.length % BYTES !== 0) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Float32Array.from({ length: bytes.length / BYTES }, (_, i) => view.getFloat32(i * BYTES, true));
  } catch {
    return null;
  }
}
