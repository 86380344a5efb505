import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { LOW_BIT_PRODUCT } from "../../../src/weights/quantized-matrix.ts";
import koffi from "koffi";
import type { onnx as Onnx } from "onnx-proto";
import { nativeCode, nativeFloats, type NativeFloats } from "../native-memory.ts";
import { multiplyCode, productConstants, quantizeCode, ROWS } from "./product-kernels.ts";
import {
  BLOCK,
  packTiles,
  PANEL_ROWS,
  PRODUCT,
  RECORD_BYTES,
  TILE,
  tileBlockBytes,
  tilesOf,
  type Bits,
} from "./product-layout.ts";
import { behind, DOMAIN, hasTiles, TYPES, type Functions, type Operator } from "./operator.ts";
import { DIVISION_BYTES, PRODUCT_OPERATOR, PRODUCT_OPERATOR_END, productCode } from "./product-operator.ts";

interface Matrix {
  readonly node: Onnx.INodeProto;
  readonly rows: number;
  readonly columns: number;
  readonly bits: Bits;
  readonly codes: Stored;
  readonly scales: Stored;
  /** Null with 8 bits. */
  readonly minima: Stored | null;
}

interface Stored {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** Operators that a graph's nodes have become, and what they use. */
export interface TakenNodes {
  readonly operators: readonly Operator[];
  /** After the graph's session. */
  release(): void;
}

/**
 * Makes the products of a graph with blocks of 32, of 8 bits (MatMulNBits) or fewer, nodes of ours, and packs their weights.
 * @param folder of the graph's file @param threads that share a product
 * @returns null where the graph has none
 */
export function takeProducts(
  graph: Onnx.IGraphProto,
  folder: string,
  threads: number,
  functions: Functions,
): TakenNodes | null {
  const matrices = matricesOf(graph, folder);
  if (matrices.length === 0) return null;
  const weights = packAll(matrices);
  const deepest = Math.max(...matrices.map(({ columns }) => columns));
  const codes = nativeFloats(((PANEL_ROWS + ROWS.tiles) * (deepest / BLOCK) * RECORD_BYTES) / 4);
  const numbers = productConstants();
  const constants = nativeFloats(numbers.length);
  constants.values.set(numbers);
  const at = koffi.address(constants.values);
  const mostRows = hasTiles() && deepest <= DEEPEST_OF_TILES ? ROWS.tiles : ROWS.vectors;
  const widths = [...new Set(matrices.map(({ bits }) => bits))];
  const code = nativeCode([
    productCode(functions),
    quantizeCode(at),
    ...widths.flatMap((bits) => Array.from({ length: mostRows }, (_, i) => multiplyCode(i + 1, bits, at))),
  ]);
  const [compute = 0n, quantize = 0n, ...multiply] = code.addresses;
  const divisions = new Map(
    widths.map((bits, i) => [bits, divisionsOf(multiply.slice(i * mostRows, (i + 1) * mostRows))]),
  );
  const operators = matrices.map(({ node, rows, columns, bits }, i): Operator => {
    const name = `Product${i}`;
    node.opType = name;
    node.domain = DOMAIN;
    node.input = node.input?.slice(0, 1) ?? [];
    node.attribute = [];
    const tiles = tilesOf(rows);
    const tilesAtOnce = threads === 1 ? tiles : Math.ceil(tiles / (CALLS_PER_THREAD * threads));
    const product = {
      [PRODUCT.weights]: weights.addresses[i]!,
      [PRODUCT.codes]: koffi.address(codes.values),
      [PRODUCT.blocks]: columns / BLOCK,
      [PRODUCT.rowBytes]: 4 * rows,
      [PRODUCT.tiles]: tiles,
      [PRODUCT.tileBytes]: (columns / BLOCK) * tileBlockBytes(bits),
      [PRODUCT.lastTileAt]: 4 * (rows - TILE),
      [PRODUCT.tilesAtOnce]: tilesAtOnce,
    };
    return {
      name,
      inputTypes: [TYPES.float32],
      outputTypes: [TYPES.float32],
      compute,
      own: {
        [PRODUCT_OPERATOR.divisions]: koffi.address(divisions.get(bits)!.values),
        [PRODUCT_OPERATOR.quantize]: quantize,
        [PRODUCT_OPERATOR.calls]: Math.ceil(tiles / tilesAtOnce),
        ...behind(PRODUCT_OPERATOR.product, product),
      },
      ownEnd: PRODUCT_OPERATOR_END,
    };
  });
  return {
    operators,
    release() {
      for (const part of [weights.memory, codes, constants, ...divisions.values(), code]) part.release();
    },
  };
}

/** K at most where codes are unpacked on the stack: 256 KB. */
const DEEPEST_OF_TILES = 8192;
/** Parts of a product for each thread, so that one that is held up holds up nobody for long. */
const CALLS_PER_THREAD = 4;

function matricesOf(graph: Onnx.IGraphProto, folder: string): Matrix[] {
  const stored = new Map(graph.initializer?.map((tensor) => [tensor.name ?? "", tensor]));
  const find = (name = ""): Stored | null => {
    const entries = new Map(stored.get(name)?.externalData?.map(({ key, value }) => [key, value ?? ""]));
    const [location, offset, length] = ["location", "offset", "length"].map((key) => entries.get(key));
    if (location === undefined || length === undefined) return null;
    return { path: join(folder, location), offset: Number(offset ?? 0), length: Number(length) };
  };
  return (graph.node ?? []).flatMap((node): Matrix[] => {
    const [, codesName, scalesName, minimaName, ...others] = node.input ?? [];
    const number = (key: string) => Number(node.attribute?.find(({ name }) => name === key)?.i ?? 0);
    const [rows, columns, bits] = [number("N"), number("K"), number("bits")];
    const [codes, scales, minima] = [find(codesName), find(scalesName), find(minimaName)];
    const few = node.opType === LOW_BIT_PRODUCT;
    const ours =
      (few || (node.opType === "MatMulNBits" && bits === 8 && minimaName === undefined)) &&
      others.length === 0 &&
      number("block_size") === BLOCK &&
      columns % BLOCK === 0 &&
      rows >= TILE;
    if (!ours || codes === null || scales === null) return [];
    return [{ node, rows, columns, bits: bits as Bits, codes, scales, minima }];
  });
}

/** All matrices in one piece of memory. */
function packAll(matrices: readonly Matrix[]): { memory: NativeFloats; addresses: readonly bigint[] } {
  const sizes = matrices.map(
    ({ rows, columns, bits }) => (tilesOf(rows) * (columns / BLOCK) * tileBlockBytes(bits)) / 4,
  );
  const memory = nativeFloats(
    sizes.reduce((sum, size) => sum + size, 0),
    { hugePages: true },
  );
  const begin = koffi.address(memory.values);
  // From the system: what the heap is given for so much it keeps.
  const sources = matrices.map(({ codes, scales, minima }) => [codes, scales, ...(minima ? [minima] : [])]);
  const largest = Math.max(...sources.map((parts) => parts.reduce((sum, { length }) => sum + length, 0)));
  const scratch = nativeFloats(largest / 4);
  let first = 0;
  const addresses = matrices.map(({ rows, columns, bits }, i) => {
    const part = memory.values.subarray(first, first + sizes[i]!);
    const address = begin + BigInt(4 * first);
    let place = 0;
    const [codes, scales, minima] = sources[i]!.map((stored) => {
      const bytes = new Uint8Array(scratch.values.buffer, place, stored.length);
      read(stored, bytes);
      place += stored.length;
      return bytes;
    });
    packTiles(
      {
        rows,
        columns,
        bits,
        codes: codes!,
        scales: floats(scales!),
        minima: minima ? floats(minima) : null,
      },
      part,
    );
    first += sizes[i]!;
    return address;
  });
  scratch.release();
  return { memory, addresses };
}

function floats(bytes: Uint8Array<ArrayBuffer>): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

function read({ path, offset, length }: Stored, bytes: Uint8Array): void {
  const file = openSync(path, "r");
  try {
    for (let done = 0; done < length;) {
      const count = readSync(file, bytes, done, length - done, offset + done);
      if (count === 0) throw new Error(`${path}: expected ${length} bytes at ${offset}, got ${done}`);
      done += count;
    }
  } finally {
    closeSync(file);
  }
}

/** How panels are divided. @param multiply address of the code for each number of rows, from one on */
function divisionsOf(multiply: readonly bigint[]): NativeFloats {
  const memory = nativeFloats(((PANEL_ROWS + 1) * DIVISION_BYTES) / 4);
  const numbers = new BigInt64Array(memory.values.buffer);
  for (let rows = 1; rows <= PANEL_ROWS; rows++) {
    const most = rows < ROWS.leastOfTiles ? ROWS.vectors : multiply.length;
    const groupRows = Math.ceil(rows / Math.ceil(rows / most));
    const division = [
      BigInt(Math.ceil(rows / groupRows)),
      BigInt(groupRows),
      BigInt(groupRows * RECORD_BYTES),
      multiply[groupRows - 1]!,
    ];
    numbers.set(division, (rows * DIVISION_BYTES) / 8);
  }
  return memory;
}
