/** A state as base64 of 32-bit floats, least significant byte first. */
export function stateText(state: Float32Array): string {
  const bytes = Buffer.alloc(4 * state.length);
  for (const [j, x] of state.entries()) bytes.writeFloatLE(x, 4 * j);
  return bytes.toString("base64");
}

export function stateFrom(text: string): Float32Array {
  const bytes = Buffer.from(text, "base64");
  return Float32Array.from({ length: bytes.length / 4 }, (_, j) => bytes.readFloatLE(4 * j));
}
