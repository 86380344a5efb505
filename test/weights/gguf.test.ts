import { describe, expect, test } from "vitest";
import { bytesOf } from "../../src/weights/byte-source.ts";
import { openGguf } from "../../src/weights/gguf.ts";
import {
  array,
  buildGguf,
  entry,
  float32,
  join,
  tensorTypeNumbers,
  text,
  uint32,
  uint64,
  valueTypes,
} from "./gguf-builder.ts";

const open = (bytes: Uint8Array) => openGguf(bytesOf(bytes));

describe("a file with metadata of every kind", () => {
  const opened = open(
    buildGguf({
      metadata: [
        entry("general.architecture", valueTypes.string, text("llama")),
        entry("llama.block_count", valueTypes.uint32, uint32(30)),
        entry("llama.rope.freq_base", valueTypes.float32, float32(0.5)),
        entry("large", valueTypes.uint64, uint64(2n ** 40n)),
        entry("too.large", valueTypes.uint64, uint64(2n ** 63n)),
        entry("flag", valueTypes.bool, new Uint8Array([1])),
        entry("tokens", valueTypes.array, array(valueTypes.string, [text("a"), text("ž"), text("")])),
        entry("kinds", valueTypes.array, array(valueTypes.int32, [uint32(1), uint32(0xffffffff)])),
        entry("nothing", valueTypes.array, array(valueTypes.string, [])),
      ],
    }),
  );

  test("gives each value by its type", async () => {
    const { metadata } = await opened;
    expect(metadata.string("general.architecture")).toBe("llama");
    expect(metadata.number("llama.block_count")).toBe(30);
    expect(metadata.number("llama.rope.freq_base")).toBe(0.5);
    expect(metadata.number("large")).toBe(2 ** 40);
    expect(metadata.boolean("flag")).toBe(true);
    expect(metadata.strings("tokens")).toEqual(["a", "ž", ""]);
    expect(metadata.numbers("kinds")).toEqual([1, -1]);
    expect(metadata.strings("nothing")).toEqual([]);
  });

  test("falls back only where a key is missing", async () => {
    const { metadata } = await opened;
    expect(metadata.has("flag")).toBe(true);
    expect(metadata.has("absent")).toBe(false);
    expect(metadata.numberOr("absent", 7)).toBe(7);
    expect(metadata.numberOr("llama.block_count", 7)).toBe(30);
    expect(metadata.booleanOr("absent", true)).toBe(true);
    expect(() => metadata.numberOr("flag", 7)).toThrow(
      "metadata flag: expected a number below 2^53, got a boolean",
    );
  });

  test("refuses a missing key, another type and a number that is not exact", async () => {
    const { metadata } = await opened;
    expect(() => metadata.string("absent")).toThrow("metadata absent: expected a string, got nothing");
    expect(() => metadata.boolean("large")).toThrow("metadata large: expected a boolean, got a bigint");
    expect(() => metadata.strings("kinds")).toThrow("expected an array of strings, got an array of numbers");
    expect(() => metadata.numbers("tokens")).toThrow("expected an array of numbers, got an array of strings");
    expect(() => metadata.number("too.large")).toThrow("expected a number below 2^53");
  });

  test("does not take a property of every object for a key", async () => {
    const { metadata } = await opened;
    expect(metadata.has("toString")).toBe(false);
    expect(metadata.has("constructor")).toBe(false);
  });
});

describe("tensors", () => {
  const values = Float32Array.from({ length: 24 }, (_, i) => i / 4 - 3);
  const q4 = join([new Uint8Array([0x00, 0x38, 0x00, 0xbc]), new Uint8Array(16).fill(0xf1)]);
  const tensors = [
    { name: "matrix", extents: [4, 3, 2], type: tensorTypeNumbers.F32, offset: 0 },
    { name: "same bytes", extents: [24], type: tensorTypeNumbers.F32, offset: 0 },
    { name: "quantised", extents: [32, 1], type: tensorTypeNumbers.Q4_1, offset: 128 },
  ];
  const data = join([new Uint8Array(values.buffer), new Uint8Array(32), q4]);
  const opened = open(buildGguf({ tensors, data }));

  test("have their shape row-major and their place in the file", async () => {
    const file = await opened;
    const first = file.tensors.get("matrix");
    expect(first).toMatchObject({ name: "matrix", type: "F32", shape: [2, 3, 4], bytes: 96 });
    expect(file.tensors.get("quantised")).toMatchObject({
      shape: [1, 32],
      bytes: 20,
      offset: (first?.offset ?? 0) + 128,
    });
    expect([...file.tensors.keys()]).toEqual(["matrix", "same bytes", "quantised"]);
  });

  test("read back as written, also where two share their bytes", async () => {
    const file = await opened;
    expect(await file.tensor("matrix")).toEqual(values);
    expect(await file.tensor("same bytes")).toEqual(values);
  });

  test("of a quantised type are dequantised", async () => {
    const expected = new Float32Array(32).fill(0.5 * 1 - 1, 0, 16).fill(0.5 * 15 - 1, 16);
    expect(await (await opened).tensor("quantised")).toEqual(expected);
  });

  test("give a slice of rows", async () => {
    const file = await opened;
    expect(await file.rows("matrix", 1, 2)).toEqual(values.slice(4, 12));
    expect(await file.rows("matrix", 6, 0)).toEqual(new Float32Array(0));
    expect(await file.rows("same bytes", 0, 1)).toEqual(values);
  });

  test("refuse a name or rows they do not have", async () => {
    const file = await opened;
    await expect(file.tensor("absent")).rejects.toThrow("no tensor absent among 3");
    await expect(file.rows("matrix", 5, 2)).rejects.toThrow(
      "2 rows from 5 asked of matrix, which has 6 rows",
    );
    await expect(file.rows("matrix", -1, 1)).rejects.toThrow(RangeError);
    await expect(file.rows("matrix", 0.5, 1)).rejects.toThrow(RangeError);
  });
});

test("version 2 reads like version 3", async () => {
  const bytes = buildGguf({ version: 2, metadata: [entry("a", valueTypes.uint32, uint32(5))] });
  expect((await open(bytes)).metadata.number("a")).toBe(5);
});

test("the data starts at the file's own alignment", async () => {
  const bytes = buildGguf({
    alignment: 256,
    metadata: [entry("general.alignment", valueTypes.uint32, uint32(256))],
    tensors: [{ name: "x", extents: [2], type: tensorTypeNumbers.F32, offset: 256 }],
    data: join([new Uint8Array(256), float32(3), float32(-4)]),
  });
  const file = await open(bytes);
  expect(file.tensors.get("x")?.offset).toBe(512);
  expect(await file.tensor("x")).toEqual(Float32Array.of(3, -4));
});

test("strings keep a leading byte order mark", async () => {
  const tokens = ["\ufeff", "\ufeff#", "#"];
  const bytes = buildGguf({
    metadata: [entry("tokens", valueTypes.array, array(valueTypes.string, tokens.map(text)))],
  });
  expect((await open(bytes)).metadata.strings("tokens")).toEqual(tokens);
});

test("a header longer than the first read is read whole", async () => {
  const long = "x".repeat(3_000_000);
  const bytes = buildGguf({
    metadata: [
      entry(
        "long",
        valueTypes.array,
        array(valueTypes.string, [text(long), text(long), text(long), text("last")]),
      ),
      entry("after", valueTypes.string, text("whole")),
    ],
    tensors: [{ name: "x", extents: [1], type: tensorTypeNumbers.F32, offset: 0 }],
    data: float32(1.5),
  });
  const file = await open(bytes);
  expect(file.metadata.strings("long").map((part) => part.length)).toEqual([
    3_000_000, 3_000_000, 3_000_000, 4,
  ]);
  expect(file.metadata.string("after")).toBe("whole");
  expect(await file.tensor("x")).toEqual(Float32Array.of(1.5));
});
