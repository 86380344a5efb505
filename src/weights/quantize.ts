/** Weights of one row share a scale in blocks of this many: GGUF's block size, so that its 8-bit tensors pass unchanged. */
export const BLOCK_SIZE = 32;
export const QUANTIZED_BITS = 8;

const ZERO_POINT = 128;
const LARGEST_CODE = 127;

export interface QuantizedBlocks {
  /** One code per weight, same order. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** One scale per block, same order. */
  readonly scales: Float32Array<ArrayBuffer>;
}

/**
 * 8-bit symmetric quantisation in blocks b of 32: s = max|w_b| / 127, code = round(w / s) + 128,
 * so w ≈ s · (code - 128). 128 is the zero point that MatMulNBits and GatherBlockQuantized assume.
 * The error is at most s / 2; an all-zero block has s = 1.
 * @throws RangeError when the length is no multiple of 32 or a weight is not finite
 */
export function quantizeBlocks(weights: Float32Array): QuantizedBlocks {
  if (weights.length % BLOCK_SIZE !== 0) {
    throw new RangeError(
      `quantizeBlocks: ${weights.length} weights are no whole number of blocks of ${BLOCK_SIZE}`,
    );
  }
  const codes = new Uint8Array(weights.length);
  const scales = new Float32Array(weights.length / BLOCK_SIZE);
  for (let block = 0; block < scales.length; block++) {
    const start = block * BLOCK_SIZE;
    const end = start + BLOCK_SIZE;
    let largest = 0;
    let sum = 0;
    for (let i = start; i < end; i++) {
      const size = Math.abs(weights[i]!);
      if (size > largest) largest = size;
      sum += size;
    }
    if (!Number.isFinite(sum)) {
      throw new RangeError(
        `quantizeBlocks: block ${block} holds a weight that is not finite; the weight file is damaged`,
      );
    }
    // A block of zeros, or of numbers too small for a float32 scale, gets any scale: its codes are all 128.
    const scale = Math.fround(largest / LARGEST_CODE) || 1;
    const perScale = 1 / scale;
    scales[block] = scale;
    // Adding half to a positive number and cutting the fraction off rounds it.
    for (let i = start; i < end; i++) codes[i] = weights[i]! * perScale + (ZERO_POINT + 0.5);
  }
  return { codes, scales };
}
