import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  float16ToFloat32,
  float16Values,
  float32ToFloat16,
  nearestFloat16,
} from "../../src/weights/float16.ts";

const golden = JSON.parse(
  readFileSync(new URL("../golden/safetensors-files.json", import.meta.url), "utf8"),
) as {
  finiteHalvesSha256: string;
  floats: string;
  halves: string;
};

const buffer = (base64: string): ArrayBuffer => new Uint8Array(Buffer.from(base64, "base64")).buffer;

const INFINITY_BITS = 0x7c00;
const finiteHalves = Uint16Array.from({ length: 0x10000 }, (_, half) => half).filter(
  (half) => (half & INFINITY_BITS) !== INFINITY_BITS,
);

test("every finite half widens as numpy widens it", () => {
  const bytes = new Uint8Array(float16ToFloat32(finiteHalves).buffer);
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(golden.finiteHalvesSha256);
});

test("infinities and NaN widen to themselves", () => {
  expect(float16ToFloat32(Uint16Array.of(0x7c00, 0xfc00, 0x7e00))).toEqual(
    Float32Array.of(Infinity, -Infinity, NaN),
  );
});

test("float32 rounds to the half that numpy rounds it to", () => {
  const floats = new Float32Array(buffer(golden.floats));
  expect(float32ToFloat16(floats)).toEqual(new Uint16Array(buffer(golden.halves)));
});

test("every half rounds to itself", () => {
  expect(float32ToFloat16(float16ToFloat32(finiteHalves))).toEqual(finiteHalves);
});

test("halfway between two halves the even one wins, of either sign", () => {
  for (let half = 0; half < 0x7bff; half++) {
    const middle = (float16Values[half]! + float16Values[half + 1]!) / 2;
    const even = half + (half & 1);
    if (nearestFloat16(middle) !== even || nearestFloat16(-middle) !== (even | 0x8000)) {
      expect.fail(`${middle} rounds to ${nearestFloat16(middle)}, not ${even}`);
    }
  }
});

test("NaN stays NaN, quiet, with its sign", () => {
  const bits = Uint32Array.of(0x7f800001, 0xffffffff);
  for (const half of float32ToFloat16(new Float32Array(bits.buffer))) {
    expect(half & 0x7e00).toBe(0x7e00);
  }
});
