import { expect, test } from "vitest";
import { createRandom } from "../../src/linalg/random.ts";
import { quantizeBlocks } from "../../src/weights/quantize.ts";

function restored({ codes, scales }: { codes: Uint8Array; scales: Float32Array }): Float32Array {
  return Float32Array.from(codes, (code, i) => (code - 128) * (scales[i >> 5] ?? Number.NaN));
}

test("quantised weights are off by at most half a step", () => {
  const random = createRandom(3);
  const weights = Float32Array.from({ length: 32 * 100 }, () => random.normal());
  const quantized = quantizeBlocks(weights);
  restored(quantized).forEach((value, i) => {
    const step = quantized.scales[i >> 5] ?? 0;
    expect(Math.abs(value - (weights[i] ?? Number.NaN))).toBeLessThanOrEqual(step * 0.500001);
  });
});

test("weights that are 8-bit already keep their codes and, to rounding, their scales", () => {
  const random = createRandom(4);
  const original = Uint8Array.from({ length: 32 * 50 }, (_, i) =>
    i % 32 === 5 ? 255 : 1 + random.integer(255),
  );
  const scales = Float32Array.from({ length: 50 }, () => 0.001 + random.next());
  const quantized = quantizeBlocks(restored({ codes: original, scales }));
  expect(quantized.codes).toStrictEqual(original);
  quantized.scales.forEach((scale, i) => expect(scale / (scales[i] ?? 0)).toBeCloseTo(1, 6));
});

test("a block of zeros and a block of the smallest numbers stay zero", () => {
  const weights = new Float32Array(64).fill(1e-45, 32);
  expect(restored(quantizeBlocks(weights))).toStrictEqual(new Float32Array(64));
});

test("the largest numbers of both signs keep their sign", () => {
  const weights = new Float32Array(32).fill(3e38, 0, 16).fill(-3e38, 16);
  const { codes } = quantizeBlocks(weights);
  expect([...new Set(codes)]).toStrictEqual([255, 1]);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  "%d among the weights is refused",
  (bad) => {
    expect(() => quantizeBlocks(new Float32Array(32).fill(bad, 7, 8))).toThrow(/not finite/);
  },
);

test("a length that is no whole number of blocks is refused", () => {
  expect(() => quantizeBlocks(new Float32Array(33))).toThrow(RangeError);
});
