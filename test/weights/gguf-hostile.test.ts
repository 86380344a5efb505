import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, type ByteSource } from "../../src/weights/byte-source.ts";
import { openGguf } from "../../src/weights/gguf.ts";
import { ggufLimits } from "../../src/weights/gguf-header.ts";
import {
  array,
  buildGguf,
  entry,
  join,
  tensorTypeNumbers,
  text,
  uint32,
  uint64,
  valueTypes,
  type GgufParts,
  type TensorEntry,
} from "./gguf-builder.ts";

const matrix: TensorEntry = { name: "x", extents: [32, 2], type: tensorTypeNumbers.Q8_0, offset: 0 };
const data = new Uint8Array(2 * 34).fill(7);
const sound: GgufParts = {
  metadata: [
    entry("name", valueTypes.string, text("sound")),
    entry("count", valueTypes.uint32, uint32(3)),
    entry("tokens", valueTypes.array, array(valueTypes.string, [text("a"), text("b")])),
  ],
  tensors: [matrix],
  data,
};

const metadataOf = (...metadata: Uint8Array[]): GgufParts => ({ metadata });
const tensorOf = (change: Partial<TensorEntry>): GgufParts => ({ tensors: [{ ...matrix, ...change }], data });
const HUGE = 2n ** 64n - 1n;

describe("a hostile file is refused:", () => {
  const cases: readonly [string, GgufParts, string][] = [
    ["another magic", { magic: "GGML" }, 'magic: expected "GGUF"'],
    ["version 1, whose counts are shorter", { version: 1 }, "version: expected 2 or 3, little-endian, got 1"],
    ["a version to come", { version: 4 }, "version: expected 2 or 3, little-endian, got 4"],
    ["a big-endian file", { version: 0x03000000 }, "version: expected 2 or 3, little-endian"],
    ["too many tensors", { tensorCount: ggufLimits.tensors + 1 }, "(tensors), got 65537"],
    ["a tensor count without bound", { tensorCount: HUGE }, "(tensors)"],
    ["too much metadata", { metadataCount: ggufLimits.metadataEntries + 1 }, "(metadataEntries), got 4097"],
    ["a metadata count without bound", { metadataCount: HUGE }, "(metadataEntries)"],
    [
      "fewer metadata entries than counted",
      { metadataCount: 1 },
      "expected a whole header, got the end after 32 bytes",
    ],
    [
      "fewer tensors than counted",
      { ...sound, data: new Uint8Array(0), tensorCount: 2 },
      "expected at least one dimension, got none",
    ],
    [
      "a long key",
      metadataOf(entry("k".repeat(257), 4, uint32(1))),
      "metadata key 0: length: expected at most 256 (metadataKeyBytes), got 257",
    ],
    ["a key without bound", metadataOf(uint64(HUGE)), "(metadataKeyBytes)"],
    [
      "a key that is not UTF-8",
      metadataOf(join([uint64(1), new Uint8Array([255]), uint32(4), uint32(1)])),
      "metadata key 0: expected UTF-8",
    ],
    [
      "a key twice",
      metadataOf(entry("k", 4, uint32(1)), entry("k", 4, uint32(2))),
      "metadata k: expected every key once",
    ],
    [
      "an unknown value type",
      metadataOf(entry("k", 13, uint32(1))),
      "metadata k: expected a value type from 0 to 12, got 13",
    ],
    [
      "a boolean of 2",
      metadataOf(entry("k", valueTypes.bool, new Uint8Array([2]))),
      "expected a boolean of 0 or 1, got 2",
    ],
    [
      "a string longer than the limit",
      metadataOf(entry("k", 8, uint64(ggufLimits.stringBytes + 1))),
      "(stringBytes), got 4194305",
    ],
    ["a string without bound", metadataOf(entry("k", 8, uint64(HUGE))), "(stringBytes)"],
    ["a string past the end", metadataOf(entry("k", 8, uint64(1000))), "expected a whole header"],
    [
      "an array longer than the limit",
      metadataOf(entry("k", 9, array(0, [], 1_000_001))),
      "metadata k: array length: expected at most 1000000 (arrayLength), got 1000001",
    ],
    ["an array past the end", metadataOf(entry("k", 9, array(0, [], 1_000_000))), "expected a whole header"],
    [
      "a string without bound in an array",
      metadataOf(entry("k", 9, array(8, [uint64(HUGE)]))),
      "(stringBytes)",
    ],
    [
      "arrays of arrays",
      metadataOf(entry("k", 9, array(9, [array(9, [])]))),
      "expected an array of scalars or strings, got 9",
    ],
    [
      "an unknown element type",
      metadataOf(entry("k", 9, array(77, []))),
      "expected an array of scalars or strings, got 77",
    ],
    [
      "a long tensor name",
      tensorOf({ name: "n".repeat(257) }),
      "tensor name 0: length: expected at most 256 (tensorNameBytes), got 257",
    ],
    ["a tensor name twice", { tensors: [matrix, matrix], data }, "tensor x: expected every name once"],
    ["no dimensions", tensorOf({ extents: [] }), "tensor x: expected at least one dimension"],
    ["five dimensions", tensorOf({ extents: [32, 1, 1, 1, 1] }), "(tensorDimensions), got 5"],
    [
      "an extent of nothing",
      tensorOf({ extents: [32, 0] }),
      "expected extents of at least 1, got 0 in dimension 1",
    ],
    ["too many elements", tensorOf({ extents: [2 ** 16, 2 ** 15 + 1] }), "(tensorElements), got 2147549184"],
    ["extents that overflow 64 bits", tensorOf({ extents: [2n ** 32n, 2n ** 32n] }), "(tensorElements)"],
    ["an extent without bound", tensorOf({ extents: [HUGE] }), "(tensorElements)"],
    [
      "a type that cannot be dequantised",
      tensorOf({ type: tensorTypeNumbers.IQ4_NL }),
      "got the one numbered 20",
    ],
    [
      "columns that are no whole blocks",
      tensorOf({ extents: [16, 4] }),
      "expected columns in Q8_0 blocks of 32, got 16",
    ],
    [
      "a tensor one row too long",
      tensorOf({ extents: [32, 3] }),
      "expected 102 bytes at 96 within the file, which has 164 bytes",
    ],
    ["a tensor that starts past the end", tensorOf({ offset: 96 }), "within the file"],
    ["an offset that overflows", tensorOf({ offset: HUGE - 31n }), "within the file"],
    [
      "an offset off the alignment",
      tensorOf({ offset: 16, extents: [32] }),
      "expected an offset in steps of 32, got 16",
    ],
    [
      "an alignment of 0",
      metadataOf(entry("general.alignment", 4, uint32(0))),
      "expected a power of two from 8 to 65536 (alignment), got 0",
    ],
    ["an alignment of 48", metadataOf(entry("general.alignment", 4, uint32(48))), "(alignment), got 48"],
    [
      "an alignment beyond the limit",
      metadataOf(entry("general.alignment", 4, uint32(2 ** 17))),
      "(alignment), got 131072",
    ],
    ["an alignment in words", metadataOf(entry("general.alignment", 8, text("32"))), "(alignment), got 32"],
  ];
  test.each(cases)("%s", async (_, parts, message) => {
    await expect(openGguf(bytesOf(buildGguf(parts)))).rejects.toThrow(message);
  });
});

test("a file is refused at every shorter length", async () => {
  const whole = buildGguf(sound);
  await expect(openGguf(bytesOf(whole))).resolves.toBeDefined();
  for (let length = 0; length < whole.length; length++) {
    await expect(openGguf(bytesOf(whole.subarray(0, length)))).rejects.toThrow(/^gguf: /);
  }
});

test("a header that never ends is left after the limit, however large the file", async () => {
  let most = 0;
  const strings = array(valueTypes.string, [], 1_000_000);
  const start = buildGguf({
    metadata: [entry("k", valueTypes.array, strings)],
    metadataCount: 4096,
  }).subarray(0, 49);
  // After the 49 bytes up to the first string, strings of 255 zero bytes follow each other for ever.
  const endless: ByteSource = {
    size: 2 ** 40,
    async read(offset, length) {
      most = Math.max(most, offset + length);
      const bytes = new Uint8Array(length);
      bytes.set(start);
      for (let at = start.length; at < length; at += 8 + 255) bytes[at] = 255;
      return bytes;
    },
  };
  await expect(openGguf(endless)).rejects.toThrow(
    `expected at most ${ggufLimits.headerBytes} bytes (headerBytes)`,
  );
  expect(most).toBe(ggufLimits.headerBytes);
});

test("a damaged file either opens with every tensor inside it or is refused", async () => {
  const whole = buildGguf(sound);
  const headerBytes = whole.length - data.length;
  const damage = fc.array(fc.tuple(fc.nat(headerBytes - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const damaged = whole.slice();
      for (const [at, byte] of changes) damaged[at] = byte;
      const opened = await openGguf(bytesOf(damaged)).catch((error: unknown) => error);
      if (opened instanceof Error) {
        expect(opened.message).toMatch(/^gguf: /);
        return;
      }
      const file = opened as Awaited<ReturnType<typeof openGguf>>;
      for (const { name, shape, offset, bytes } of file.tensors.values()) {
        expect(offset + bytes).toBeLessThanOrEqual(damaged.length);
        expect((await file.tensor(name)).length).toBe(shape.reduce((product, extent) => product * extent, 1));
      }
    }),
    { numRuns: 1000 },
  );
});
