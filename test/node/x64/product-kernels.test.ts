import koffi from "koffi";
import { describe, expect, test } from "vitest";
import { nativeCode, nativeFloats } from "../../../adapters/node/native-memory.ts";
import {
  BLOCK,
  CONSTANTS,
  MOST_ROWS,
  multiplyCode,
  packTiles,
  PRODUCT,
  PRODUCT_BYTES,
  quantizeCode,
  RECORD_BYTES,
  TILE,
  TILE_BLOCK_BYTES,
  tilesOf,
} from "../../../adapters/node/x64/product-kernels.ts";
import { hasOperators } from "../../../adapters/node/x64/operator.ts";
import { createRandom } from "../../../src/linalg/random.ts";
import { quantizeBlocks } from "../../../src/weights/quantize.ts";

/** x (rows, K) W (N, K)ᵀ by the code, `groupRows` at once. */
function product(
  x: Float32Array,
  w: Float32Array,
  rows: number,
  columns: number,
  groupRows: number,
): Float32Array {
  const outputs = w.length / columns;
  const blocks = columns / BLOCK;
  const { codes, scales } = quantizeBlocks(w);
  const weights = nativeFloats((tilesOf(outputs) * blocks * TILE_BLOCK_BYTES) / 4, { hugePages: true });
  packTiles(codes, scales, outputs, columns, weights.values);
  const constants = nativeFloats(CONSTANTS.length);
  constants.values.set(CONSTANTS);
  const records = nativeFloats((rows + groupRows) * blocks * RECORD_BYTES);
  const [from, to] = [nativeFloats(x.length), nativeFloats(rows * outputs + 16)];
  from.values.set(x);
  to.values.fill(7);
  const code = nativeCode([quantizeCode(koffi.address(constants.values)), multiplyCode(groupRows)]);
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
  put(PRODUCT.tileBytes, blocks * TILE_BLOCK_BYTES);
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

/** The same in float64, with x and W quantised as the code does. */
function expected(x: Float32Array, w: Float32Array, rows: number, columns: number): Float64Array {
  const outputs = w.length / columns;
  const { codes, scales } = quantizeBlocks(w);
  const [from, weights] = [
    quantized(x),
    Float64Array.from(codes, (code, i) => scales[i >> 5]! * (code - 128)),
  ];
  return Float64Array.from({ length: rows * outputs }, (_, at) => {
    const [row, n] = [Math.floor(at / outputs), at % outputs];
    let sum = 0;
    for (let k = 0; k < columns; k++) sum += from[row * columns + k]! * weights[n * columns + k]!;
    return sum;
  });
}

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
  ])("%i rows, %i at once, of a matrix (%i, %i)", (rows, groupRows, outputs, columns) => {
    expect(groupRows).toBeLessThanOrEqual(MOST_ROWS);
    const random = createRandom(7);
    const x = Float32Array.from({ length: rows * columns }, () => 8 * (random.next() - 0.5) ** 3);
    x.fill(0, 0, 8);
    const w = Float32Array.from({ length: outputs * columns }, () => random.next() - 0.5);
    const y = product(x, w, rows, columns, groupRows);
    const right = expected(x, w, rows, columns);
    const largest = Math.max(...right.map(Math.abs));
    for (const [i, value] of right.entries()) expect(Math.abs(y[i]! - value)).toBeLessThan(2e-3 * largest);
  });
});
