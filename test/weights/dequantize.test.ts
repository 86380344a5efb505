import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  blockLayout,
  dequantize,
  lowBitsOf,
  splitLowBits,
  tensorTypes,
} from "../../src/weights/dequantize.ts";

const golden = JSON.parse(
  readFileSync(new URL("../golden/dequantize.json", import.meta.url), "utf8"),
) as Record<string, { bytes: string; values: string }>;

const decode = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

const bitsOf = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

test("there is a reference for every type", () => {
  expect(Object.keys(golden).sort()).toEqual([...tensorTypes].sort());
});

describe.each(Object.entries(golden))("%s", (type, { bytes, values }) => {
  test("equals gguf-py bit for bit", () => {
    const expected = new Uint32Array(decode(values).buffer);
    expect(bitsOf(dequantize(type, decode(bytes)))).toEqual(expected);
  });

  test.runIf(lowBitsOf(type) !== null)("is codes of few bits with scales and minima, exactly", () => {
    const blocks = splitLowBits(type, decode(bytes));
    expect(Math.max(...blocks.codes)).toBeLessThan(2 ** blocks.bits);
    const together = Float32Array.from(
      blocks.codes,
      (code, i) => blocks.scales[i >> 5]! * code + blocks.minima[i >> 5]! + 0,
    );
    // Zeros without a sign.
    const expected = new Float32Array(decode(values).buffer).map((value) => value + 0);
    expect(bitsOf(together)).toEqual(bitsOf(expected));
  });

  test("does not depend on where its bytes lie in a buffer", () => {
    const shifted = new Uint8Array(decode(bytes).length + 3);
    shifted.set(decode(bytes), 3);
    expect(bitsOf(dequantize(type, shifted.subarray(3)))).toEqual(bitsOf(dequantize(type, decode(bytes))));
  });

  test("refuses a part of a block and takes none at all", () => {
    const whole = blockLayout(type).bytes;
    expect(() => dequantize(type, new Uint8Array(whole + 1))).toThrow(`got ${whole + 1} bytes`);
    expect(dequantize(type, new Uint8Array(0))).toEqual(new Float32Array(0));
  });
});

test("types of more bits are not split", () => {
  expect(lowBitsOf("Q6_K")).toBeNull();
  expect(() => splitLowBits("Q8_0", new Uint8Array(34))).toThrow("got Q8_0");
});

test("an unknown type is refused by name", () => {
  expect(() => dequantize("IQ4_NL", new Uint8Array(18))).toThrow("got type IQ4_NL");
});

/** 1.0, 0.5 and -2.0 as halves. */
const ONE = [0x00, 0x3c];
const HALF = [0x00, 0x38];
const MINUS_TWO = [0x00, 0xc0];

const run = (length: number, value: (i: number) => number): number[] =>
  Array.from({ length }, (_, i) => value(i));

describe("a block made by hand", () => {
  test("F32, F16 and BF16 hold 1 and -2", () => {
    expect(dequantize("F32", new Uint8Array(Float32Array.of(1, -2).buffer))).toEqual(Float32Array.of(1, -2));
    expect(dequantize("F16", Uint8Array.from([...ONE, ...MINUS_TWO]))).toEqual(Float32Array.of(1, -2));
    expect(dequantize("BF16", Uint8Array.from([0x80, 0x3f, 0x00, 0xc0]))).toEqual(Float32Array.of(1, -2));
  });

  test("Q8_0 is scale times a signed byte", () => {
    const block = Uint8Array.from([...HALF, ...run(32, (i) => i - 16)]);
    expect(dequantize("Q8_0", block)).toEqual(Float32Array.from(run(32, (i) => (i - 16) / 2)));
  });

  test("Q4_0 keeps the first half in the low nibbles, less 8", () => {
    const block = Uint8Array.from([...MINUS_TWO, ...run(16, (i) => i | ((15 - i) << 4))]);
    const expected = [...run(16, (i) => -2 * (i - 8)), ...run(16, (i) => -2 * (7 - i))];
    expect([...dequantize("Q4_0", block)].map((x) => x + 0)).toEqual(expected.map((x) => x + 0));
  });

  test("Q4_1 adds a minimum", () => {
    const block = Uint8Array.from([...HALF, ...MINUS_TWO, ...run(16, (i) => i | ((15 - i) << 4))]);
    const expected = [...run(16, (i) => i / 2 - 2), ...run(16, (i) => (15 - i) / 2 - 2)];
    expect(dequantize("Q4_1", block)).toEqual(Float32Array.from(expected));
  });

  test("Q5_0 has its fifth bits in a word, less 16", () => {
    // Fifth bit set for elements 0, 15, 16 and 31.
    const block = Uint8Array.from([...ONE, 0x01, 0x80, 0x01, 0x80, ...run(16, () => 0x31)]);
    const fifths = run(32, (i) => ([0, 15, 16, 31].includes(i) ? 16 : 0));
    const expected = run(32, (i) => (i < 16 ? 1 : 3) + fifths[i]! - 16);
    expect(dequantize("Q5_0", block)).toEqual(Float32Array.from(expected));
  });

  test("Q5_1 has its fifth bits in a word and adds a minimum", () => {
    const block = Uint8Array.from([...HALF, ...ONE, 0x02, 0x00, 0x00, 0x40, ...run(16, () => 0xc5)]);
    const fifths = run(32, (i) => (i === 1 || i === 30 ? 16 : 0));
    const expected = run(32, (i) => ((i < 16 ? 5 : 12) + fifths[i]!) / 2 + 1);
    expect(dequantize("Q5_1", block)).toEqual(Float32Array.from(expected));
  });

  /** Sub-block scales 1, 2, 3, 4, 17, 34, 51, 60 and minima 5, 6, 7, 8, 49, 18, 35, 62, packed in six bits. */
  const scales = [1, 2, 3, 4, 17, 34, 51, 60];
  const minima = [5, 6, 7, 8, 49, 18, 35, 62];
  const packed = [
    ...run(4, (s) => scales[s]! | ((scales[s + 4]! >> 4) << 6)),
    ...run(4, (s) => minima[s]! | ((minima[s + 4]! >> 4) << 6)),
    ...run(4, (s) => (scales[s + 4]! & 15) | ((minima[s + 4]! & 15) << 4)),
  ];

  test("Q4_K has a scale and a minimum per 32 elements", () => {
    const block = Uint8Array.from([
      ...HALF,
      ...ONE,
      ...packed,
      ...run(128, (i) => (i % 16) | ((15 - (i % 16)) << 4)),
    ]);
    const quanta = run(256, (i) => ((i >> 5) % 2 === 0 ? i % 16 : 15 - (i % 16)));
    const expected = run(256, (i) => 0.5 * scales[i >> 5]! * quanta[i]! - minima[i >> 5]!);
    expect(dequantize("Q4_K", block)).toEqual(Float32Array.from(expected));
  });

  test("Q5_K has one fifth bit per sub-block in each of 32 bytes", () => {
    const block = Uint8Array.from([
      ...HALF,
      ...ONE,
      ...packed,
      ...run(32, (j) => 1 << (j % 8)),
      ...run(128, () => 0x93),
    ]);
    const fifths = run(256, (i) => ((i % 32) % 8 === i >> 5 ? 16 : 0));
    const quanta = run(256, (i) => ((i >> 5) % 2 === 0 ? 3 : 9) + fifths[i]!);
    const expected = run(256, (i) => 0.5 * scales[i >> 5]! * quanta[i]! - minima[i >> 5]!);
    expect(dequantize("Q5_K", block)).toEqual(Float32Array.from(expected));
  });

  test("Q6_K has a signed scale per 16 elements and two upper bits apart, less 32", () => {
    const low = run(128, () => 0x52);
    const high = run(64, () => 0b11_10_01_00);
    const block = Uint8Array.from([...low, ...high, ...run(16, (s) => s - 8), ...HALF]);
    const quanta = run(256, (i) => ((i >> 6) % 2 === 0 ? 2 : 5) + 16 * ((i >> 5) % 4) - 32);
    const expected = run(256, (i) => 0.5 * ((i >> 4) - 8) * quanta[i]!);
    expect([...dequantize("Q6_K", block)].map((x) => x + 0)).toEqual(expected.map((x) => x + 0));
  });
});
