import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeSafetensors,
  encodeSafetensors,
  safetensorsLimits,
  type SafeTensor,
} from "../../src/weights/safetensors.ts";

const golden = JSON.parse(
  readFileSync(new URL("../golden/safetensors-files.json", import.meta.url), "utf8"),
) as {
  file: string;
  bare: string;
  metadata: Record<string, string>;
  tensors: Record<string, { shape: number[]; bytes: string }>;
};

const decode = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));
const bytesOfData = ({ data }: SafeTensor): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

describe("the reference package's file", () => {
  test("reads with its metadata, shapes and values", () => {
    const { metadata, tensors } = decodeSafetensors(decode(golden.file));
    expect(Object.fromEntries(metadata)).toEqual(golden.metadata);
    expect([...tensors.keys()].sort()).toEqual(Object.keys(golden.tensors).sort());
    for (const [name, { shape, bytes }] of Object.entries(golden.tensors)) {
      const tensor = tensors.get(name);
      expect(tensor?.shape).toEqual(shape);
      expect(tensor && bytesOfData(tensor)).toEqual(decode(bytes));
    }
  });

  test("is written again byte for byte", () => {
    const { metadata, tensors } = decodeSafetensors(decode(golden.file));
    expect(encodeSafetensors(tensors, metadata)).toEqual(decode(golden.file));
  });

  test("is written byte for byte without metadata too", () => {
    const x: SafeTensor = { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) };
    expect(encodeSafetensors(new Map([["x", x]]), new Map())).toEqual(decode(golden.bare));
  });

  test("reads from the middle of a larger buffer, at any alignment, into arrays of their own", () => {
    const whole = decode(golden.file);
    const shifted = Buffer.alloc(whole.length + 1);
    shifted.set(whole, 1);
    const { tensors } = decodeSafetensors(shifted.subarray(1));
    shifted.fill(0);
    expect(tensors.get("scalar")?.data).toEqual(Float32Array.of(-1.5));
  });

  test("is refused at every shorter length, and with one byte more", () => {
    const whole = decode(golden.file);
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeSafetensors(whole.subarray(0, length))).toThrow(/^safetensors: /);
    }
    const longer = new Uint8Array(whole.length + 1);
    longer.set(whole);
    expect(() => decodeSafetensors(longer)).toThrow(/^safetensors: data: expected \d+ bytes, got \d+$/);
  });
});

test("any tensors and metadata come back as they were written", () => {
  const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 });
  const tensor = fc
    .tuple(shapes, fc.constantFrom("F32", "F16", "I32", "I8"), fc.integer())
    .map(([shape, dtype, seed]): SafeTensor => {
      const length = shape.reduce((product, extent) => product * extent, 1);
      const numbers = Int32Array.from({ length }, (_, i) => (i + 1) * seed);
      if (dtype === "F32") return { dtype, shape, data: Float32Array.from(numbers) };
      if (dtype === "F16") return { dtype, shape, data: Uint16Array.from(numbers) };
      if (dtype === "I8") return { dtype, shape, data: Int8Array.from(numbers) };
      return { dtype: "I32", shape, data: numbers };
    });
  const name = fc.string({ unit: "binary", maxLength: 20 }).filter((text) => text !== "__metadata__");
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, tensor), { maxLength: 6 }),
      fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })), { maxLength: 3 }),
      (tensors, metadata) => {
        const written = encodeSafetensors(new Map(tensors), new Map(metadata));
        const read = decodeSafetensors(written);
        expect(read.metadata).toEqual(new Map(metadata));
        expect(read.tensors).toEqual(new Map(tensors));
      },
    ),
    { numRuns: 200 },
  );
});

test("names that mean something to JavaScript are only names", () => {
  const names = ["__proto__", "constructor", "1", "0"];
  const x: SafeTensor = { dtype: "I32", shape: [], data: Int32Array.of(7) };
  const tensors = new Map(names.map((name) => [name, x]));
  const metadata = new Map(names.map((name) => [name, "text"]));
  expect(decodeSafetensors(encodeSafetensors(tensors, metadata))).toEqual({ metadata, tensors });
});

/** A file with this header text and `dataBytes` zero bytes. */
function file(header: string, dataBytes = 0): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const entry = (dtype: string, shape: readonly unknown[], begin: number, end: number): string =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe("a hostile file is refused:", () => {
  const cases: readonly [string, Uint8Array, string | RegExp][] = [
    ["a header longer than the limit", new Uint8Array(16).fill(255), "(headerBytes)"],
    ["no JSON", file("{"), "header: expected JSON in UTF-8"],
    ["a byte order mark", file('\ufeff{"a":1}'), "header: expected JSON in UTF-8"],
    ["an array for a header", file("[]"), "header: expected a JSON object, got []"],
    ["nesting without end", file("[".repeat(100_000)), "header: expected JSON"],
    ["a metadata value that is no text", file('{"__metadata__":{"a":1}}'), "metadata a: "],
    [
      "metadata that is no object",
      file('{"__metadata__":"a"}'),
      '__metadata__: expected a JSON object, got "a"',
    ],
    ["another type", file(`{"x":${entry("F64", [1], 0, 8)}}`, 8), "tensor x: "],
    ["a negative extent", file(`{"x":${entry("F32", [-1, -1], 0, 4)}}`, 4), "tensor x: "],
    ["a broken extent", file(`{"x":${entry("F32", [0.5], 0, 2)}}`, 2), "tensor x: "],
    ["too many dimensions", file(`{"x":${entry("F32", Array(9).fill(1), 0, 4)}}`, 4), "tensor x: "],
    [
      "a field the format does not have",
      file('{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4],"y":1}}', 4),
      "tensor x: ",
    ],
    [
      "more elements than the limit",
      file(`{"x":${entry("F32", [2 ** 31, 2 ** 20], 0, 4)}}`, 4),
      "(elements)",
    ],
    [
      "a size that is not the shape's",
      file(`{"x":${entry("F32", [2], 0, 4)}}`, 4),
      "expected data_offsets [0, 8], got [0, 4]",
    ],
    [
      "an end before its start",
      file(`{"x":${entry("F32", [1], 4, 0)}}`, 4),
      "expected data_offsets [0, 4], got [4, 0]",
    ],
    ["a gap", file(`{"x":${entry("F32", [1], 4, 8)}}`, 8), "expected data_offsets [0, 4], got [4, 8]"],
    [
      "an overlap",
      file(`{"x":${entry("F32", [1], 0, 4)},"y":${entry("F32", [1], 0, 4)}}`, 4),
      "tensor y: expected data_offsets [4, 8]",
    ],
    ["data past the end", file(`{"x":${entry("F32", [4], 0, 16)}}`, 8), "data: expected 16 bytes, got 8"],
    [
      "a name longer than the limit",
      file(`{"${"x".repeat(257)}":${entry("F32", [1], 0, 4)}}`, 4),
      "(nameLength)",
    ],
  ];
  test.each(cases)("%s", (_, bytes, message) => {
    expect(() => decodeSafetensors(bytes)).toThrow(message);
  });

  test("more tensors than the limit", () => {
    const entries = Array.from(
      { length: safetensorsLimits.tensors + 1 },
      (_, i) => `"${i}":${entry("F32", [0], 0, 0)}`,
    );
    expect(() => decodeSafetensors(file(`{${entries.join(",")}}`))).toThrow("(tensors), got 4097");
  });

  test("more metadata than the limit", () => {
    const entries = Array.from({ length: safetensorsLimits.metadataEntries + 1 }, (_, i) => `"${i}":""`);
    expect(() => decodeSafetensors(file(`{"__metadata__":{${entries.join(",")}}}`))).toThrow(
      "(metadataEntries)",
    );
  });
});

const write = (name: string, tensor: SafeTensor) => () =>
  encodeSafetensors(new Map([[name, tensor]]), new Map());

test("writing refuses what reading would refuse", () => {
  const one: SafeTensor = { dtype: "F32", shape: [1], data: Float32Array.of(1) };
  expect(write("x", { ...one, shape: [2] })).toThrow("tensor x: expected 2 elements, got 1");
  expect(write("__metadata__", one)).toThrow("the format's own");
  expect(write("x".repeat(300), one)).toThrow("(nameLength)");
  expect(write("x", { ...one, shape: Array(9).fill(1) as number[] })).toThrow("(dimensions)");
  const huge = new Map([["text", "x".repeat(safetensorsLimits.headerBytes)]]);
  expect(() => encodeSafetensors(new Map(), huge)).toThrow("(headerBytes)");
});
