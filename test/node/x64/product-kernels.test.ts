import koffi from "koffi";
import { describe, expect, test } from "vitest";
import { nativeCode, nativeFloats } from "../../../adapters/node/native-memory.ts";
import {
  multiplyCode,
  productConstants,
  quantizeCode,
  ROWS,
} from "../../../adapters/node/x64/product-kernels.ts";
import {
  BLOCK,
  packTiles,
  PRODUCT,
  PRODUCT_BYTES,
  RECORD_BYTES,
  tileBlockBytes,
  tilesOf,
  TILE,
  type Bits,
  type CodedMatrix,
} from "../../../adapters/node/x64/product-layout.ts";
import { hasOperators, hasTiles } from "../../../adapters/node/x64/operator.ts";
import { createRandom } from "../../../src/linalg/random.ts";
import { float16Values, nearestFloat16 } from "../../../src/weights/float16.ts";

const half = (value: number): number => float16Values[nearestFloat16(value)]!;

/** A matrix of random codes. */
function randomMatrix(bits: Bits, rows: number, columns: number): CodedMatrix {
  const random = createRandom(11);
  const blocks = (rows * columns) / BLOCK;
  return {
    rows,
    columns,
    bits,
    codes: Uint8Array.from({ length: rows * columns }, () => Math.floor(random.next() * 2 ** bits)),
    scales: Float32Array.from({ length: blocks }, () => half(random.next() / 2 ** bits)),
    minima: bits === 8 ? null : Float32Array.from({ length: blocks }, () => half(random.next() - 1)),
  };
}

/** x (rows, K) Wᵀ by the code, `groupRows` at once. */
function product(x: Float32Array, matrix: CodedMatrix, rows: number, groupRows: number): Float32Array {
  const { rows: outputs, columns, bits } = matrix;
  const blocks = columns / BLOCK;
  const weights = nativeFloats((tilesOf(outputs) * blocks * tileBlockBytes(bits)) / 4, { hugePages: true });
  packTiles(matrix, weights.values);
  const numbersOfCode = productConstants();
  const constants = nativeFloats(numbersOfCode.length);
  constants.values.set(numbersOfCode);
  const records = nativeFloats(((rows + groupRows) * blocks * RECORD_BYTES) / 4);
  const [from, to] = [nativeFloats(x.length), nativeFloats(rows * outputs + 16)];
  from.values.set(x);
  to.values.fill(7);
  const at = koffi.address(constants.values);
  const code = nativeCode([quantizeCode(at), multiplyCode(groupRows, bits, at)]);
  const fields = nativeFloats(PRODUCT_BYTES / 4);
  const numbers = new BigInt64Array(fields.values.buffer);
  const put = (offset: number, value: number | bigint): void => {
    numbers[offset / 8] = BigInt(value);
  };
  put(PRODUCT.weights, koffi.address(weights.values));
  put(PRODUCT.codes, koffi.address(records.values));
  put(PRODUCT.x, koffi.address(from.values));
  put(PRODUCT.y, koffi.address(to.values));
  put(PRODUCT.blocks, blocks);
  put(PRODUCT.rowBytes, 4 * outputs);
  put(PRODUCT.tiles, tilesOf(outputs));
  put(PRODUCT.tileBytes, blocks * tileBlockBytes(bits));
  put(PRODUCT.lastTileAt, 4 * (outputs - TILE));
  put(PRODUCT.rows, rows);
  put(PRODUCT.groups, Math.ceil(rows / groupRows));
  put(PRODUCT.groupRows, groupRows);
  put(PRODUCT.recordsBytes, groupRows * RECORD_BYTES);
  put(PRODUCT.tilesAtOnce, 2);
  const address = koffi.address(fields.values);
  const [quantize, multiply] = code.addresses.map((of) =>
    koffi.decode(of, koffi.proto("void (int64_t, int64_t)")),
  ) as ((a: bigint, b: number) => void)[];
  quantize!(address, 0);
  for (let i = 0; 2 * i < tilesOf(outputs); i++) multiply!(address, i);
  const y = to.values.slice(0, rows * outputs);
  expect([...to.values.subarray(rows * outputs)]).toEqual(Array.from({ length: 16 }, () => 7));
  for (const part of [weights, constants, records, from, to, fields, code]) part.release();
  return y;
}

/** What is left of numbers after 8-bit codes in blocks. */
function quantized(values: Float32Array): Float64Array {
  const out = new Float64Array(values.length);
  for (let first = 0; first < values.length; first += BLOCK) {
    const block = values.subarray(first, first + BLOCK);
    const scale = Math.max(...block.map(Math.abs)) / 127;
    for (const [i, value] of block.entries()) {
      const ratio = scale === 0 ? 0 : Math.fround(value / scale);
      const down = Math.floor(ratio);
      const even = ratio - down === 0.5 ? down + (Math.abs(down) % 2) : Math.round(ratio);
      out[first + i] = scale * even;
    }
  }
  return out;
}

/** The same in float64, with x quantised as the code does. */
function expected(x: Float32Array, matrix: CodedMatrix, rows: number): Float64Array {
  const { rows: outputs, columns, bits, codes, scales, minima } = matrix;
  const from = quantized(x);
  const weights = Float64Array.from(codes, (code, i) =>
    bits === 8 ? scales[i >> 5]! * (code - 128) : scales[i >> 5]! * code + minima![i >> 5]!,
  );
  return Float64Array.from({ length: rows * outputs }, (_, at) => {
    const [row, n] = [Math.floor(at / outputs), at % outputs];
    let sum = 0;
    for (let k = 0; k < columns; k++) sum += from[row * columns + k]! * weights[n * columns + k]!;
    return sum;
  });
}

/** Of more rows than vectors take. */
const ofTiles = [
  [7, 7, 64, 64],
  [8, 8, 70, 576],
  [12, 12, 64, 32],
  [29, 10, 130, 2048],
];

describe.runIf(hasOperators())("a product in machine code", () => {
  test.each([
    [1, 1, 64, 32],
    [1, 1, 96, 576],
    [2, 2, 70, 64],
    [3, 3, 33, 96],
    [5, 3, 64, 128],
    [6, 6, 64, 64],
    [11, 6, 130, 160],
    [8, 4, 32, 2048],
    [5, 5, 40, 64],
    ...(hasTiles() ? ofTiles : []),
  ])("%i rows, %i at once, of a matrix (%i, %i)", (rows, groupRows, outputs, columns) => {
    expect(groupRows).toBeLessThanOrEqual(ROWS.tiles);
    const random = createRandom(7);
    const x = Float32Array.from({ length: rows * columns }, () => 8 * (random.next() - 0.5) ** 3);
    x.fill(0, 0, 8);
    for (const bits of [4, 5, 8] as const) {
      const matrix = randomMatrix(bits, outputs, columns);
      const y = product(x, matrix, rows, groupRows);
      const right = expected(x, matrix, rows);
      const largest = Math.max(...right.map(Math.abs));
      for (const [i, value] of right.entries()) {
        expect(Math.abs(y[i]! - value), `${bits} bits, ${i}`).toBeLessThan(2e-3 * largest);
      }
    }
  });
});
