import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import koffi from "koffi";
import onnxProto, { type onnx as Onnx } from "onnx-proto";
import { nativeCode, nativeFloats, type NativeCode, type NativeFloats } from "../native-memory.ts";
import {
  BLOCK,
  CONSTANTS,
  MOST_ROWS,
  multiplyCode,
  packTiles,
  PANEL_ROWS,
  PRODUCT,
  quantizeCode,
  RECORD_BYTES,
  TILE,
  TILE_BLOCK_BYTES,
  tilesOf,
} from "./product-kernels.ts";
import {
  CALLED,
  computeCode,
  DIVISION_BYTES,
  INTERFACE_VERSION,
  nameCode,
  numberCode,
  OPERATOR,
  OPERATOR_BYTES,
  selfCode,
} from "./product-operator.ts";

// The package is CommonJS and its names cannot be imported one by one.
const { onnx } = onnxProto;

/** Where the operators of `Products` are found. */
export const PRODUCT_DOMAIN = "concord";

/** A graph whose products are operators of ours. */
export interface Products {
  /** The ModelProto bytes. */
  readonly model: Uint8Array;
  /** Of each operator, for CustomOpDomain_Add. */
  readonly operators: readonly bigint[];
  /** After its session alone. */
  release(): void;
}

/** Whether the processor computes products of bytes 512 bits wide, and calls functions as the code here does. */
export function hasProducts(): boolean {
  if (process.platform !== "linux" || process.arch !== "x64") return false;
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" ") ?? [];
  return flags.includes("avx512f") && flags.includes("avx512_vnni");
}

interface Matrix {
  readonly node: Onnx.INodeProto;
  readonly rows: number;
  readonly columns: number;
  readonly codes: Stored;
  readonly scales: Stored;
}

interface Stored {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * Takes the products with 8-bit blocks of 32 out of a graph (MatMulNBits), and packs their weights.
 * @param path of the graph @param threads that share a product @param address of a function in onnxruntime's table
 * @returns null where the graph has none
 */
export function openProducts(
  path: string,
  threads: number,
  address: (place: number) => bigint,
): Products | null {
  const model = onnx.ModelProto.decode(readFileSync(path));
  const { graph } = model;
  const matrices = graph ? matricesOf(graph, dirname(path)) : [];
  if (!graph || matrices.length === 0) return null;
  const weights = packAll(matrices);
  const deepest = Math.max(...matrices.map(({ columns }) => columns));
  const codes = nativeFloats(((PANEL_ROWS + MOST_ROWS) * (deepest / BLOCK) * RECORD_BYTES) / 4);
  const table = createTable(matrices.length);
  const code = assemble(table, address);
  const operators = matrices.map(({ node, rows, columns }, i) => {
    const name = `Product${i}`;
    node.opType = name;
    node.domain = PRODUCT_DOMAIN;
    node.input = node.input?.slice(0, 1) ?? [];
    node.attribute = [];
    const tiles = tilesOf(rows);
    const tilesAtOnce = threads === 1 ? tiles : Math.ceil(tiles / (CALLS_PER_THREAD * threads));
    return table.addOperator(
      i,
      name,
      code,
      {
        [PRODUCT.weights]: weights.addresses[i]!,
        [PRODUCT.codes]: koffi.address(codes.values),
        [PRODUCT.blocks]: columns / BLOCK,
        [PRODUCT.rowBytes]: 4 * rows,
        [PRODUCT.tiles]: tiles,
        [PRODUCT.tileBytes]: (columns / BLOCK) * TILE_BLOCK_BYTES,
        [PRODUCT.lastTileAt]: 4 * (rows - TILE),
        [PRODUCT.tilesAtOnce]: tilesAtOnce,
      },
      Math.ceil(tiles / tilesAtOnce),
    );
  });
  const used = new Set(graph.node?.flatMap(({ input }) => input ?? []));
  graph.initializer = graph.initializer?.filter(({ name }) => used.has(name ?? "")) ?? [];
  model.opsetImport = [...(model.opsetImport ?? []), { domain: PRODUCT_DOMAIN, version: 1 }];
  return {
    model: new Uint8Array(onnx.ModelProto.encode(model).finish()),
    operators,
    release() {
      for (const part of [weights.memory, codes, table.memory, code.memory]) part.release();
    },
  };
}

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
    const [, codesName, scalesName, ...others] = node.input ?? [];
    const number = (key: string) => Number(node.attribute?.find(({ name }) => name === key)?.i ?? 0);
    const [rows, columns] = [number("N"), number("K")];
    const [codes, scales] = [find(codesName), find(scalesName)];
    const ours =
      node.opType === "MatMulNBits" &&
      others.length === 0 &&
      number("bits") === 8 &&
      number("block_size") === BLOCK &&
      columns % BLOCK === 0 &&
      rows >= TILE;
    return ours && codes !== null && scales !== null ? [{ node, rows, columns, codes, scales }] : [];
  });
}

/** All matrices in one piece of memory. */
function packAll(matrices: readonly Matrix[]): { memory: NativeFloats; addresses: readonly bigint[] } {
  const sizes = matrices.map(
    ({ rows, columns }) => (tilesOf(rows) * (columns / BLOCK) * TILE_BLOCK_BYTES) / 4,
  );
  const memory = nativeFloats(
    sizes.reduce((sum, size) => sum + size, 0),
    { hugePages: true },
  );
  const begin = koffi.address(memory.values);
  let first = 0;
  const addresses = matrices.map(({ rows, columns, codes, scales }, i) => {
    const part = memory.values.subarray(first, first + sizes[i]!);
    const address = begin + BigInt(4 * first);
    packTiles(read(codes), new Float32Array(read(scales).buffer), rows, columns, part);
    first += sizes[i]!;
    return address;
  });
  return { memory, addresses };
}

function read({ path, offset, length }: Stored): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
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
  return bytes;
}

interface Code {
  readonly memory: NativeCode;
  readonly addresses: Readonly<Record<"self" | "name" | "none" | "one" | "compute" | "quantize", bigint>>;
}

const NAME_BYTES = 24;

/** Memory for operators, the constants of the code, and the divisions of panels. */
function createTable(count: number) {
  const divisionsAt = CONSTANTS.byteLength;
  const operatorsAt = divisionsAt + (PANEL_ROWS + 1) * DIVISION_BYTES;
  const stride = OPERATOR_BYTES + NAME_BYTES;
  const memory = nativeFloats((operatorsAt + count * stride) / 4);
  const numbers = new BigInt64Array(memory.values.buffer);
  const begin = koffi.address(memory.values);
  memory.values.set(CONSTANTS);
  return {
    memory,
    constants: begin,
    /** @param multiply address of the code for each number of rows, from 1 on */
    setDivisions(multiply: readonly bigint[]): void {
      for (let rows = 1; rows <= PANEL_ROWS; rows++) {
        const groupRows = Math.ceil(rows / Math.ceil(rows / MOST_ROWS));
        const division = [
          BigInt(Math.ceil(rows / groupRows)),
          BigInt(groupRows),
          BigInt(groupRows * RECORD_BYTES),
          multiply[groupRows - 1]!,
        ];
        numbers.set(division, (divisionsAt + rows * DIVISION_BYTES) / 8);
      }
    },
    addOperator(
      i: number,
      name: string,
      { addresses }: Code,
      product: Readonly<Record<number, number | bigint>>,
      calls: number,
    ): bigint {
      const at = operatorsAt + i * stride;
      const put = (offset: number, value: number | bigint): void => {
        numbers[(at + offset) / 8] = BigInt(value);
      };
      const nameAt = at + OPERATOR_BYTES;
      new Uint8Array(memory.values.buffer).set(new TextEncoder().encode(`${name}\0`), nameAt);
      put(OPERATOR.version, INTERFACE_VERSION);
      put(OPERATOR.createKernel, addresses.self);
      put(OPERATOR.getName, addresses.name);
      put(OPERATOR.getProvider, addresses.none);
      put(OPERATOR.getInputType, addresses.one);
      put(OPERATOR.getInputCount, addresses.one);
      put(OPERATOR.getOutputType, addresses.one);
      put(OPERATOR.getOutputCount, addresses.one);
      put(OPERATOR.compute, addresses.compute);
      put(OPERATOR.destroy, addresses.none);
      put(OPERATOR.getInputCharacteristic, addresses.none);
      put(OPERATOR.getOutputCharacteristic, addresses.none);
      put(OPERATOR.getInputMemoryType, addresses.none);
      put(OPERATOR.name, begin + BigInt(nameAt));
      put(OPERATOR.divisions, begin + BigInt(divisionsAt));
      put(OPERATOR.quantize, addresses.quantize);
      put(OPERATOR.calls, calls);
      for (const [offset, value] of Object.entries(product)) put(OPERATOR.product + Number(offset), value);
      return begin + BigInt(at);
    },
  };
}

function assemble(table: ReturnType<typeof createTable>, address: (place: number) => bigint): Code {
  const functions = Object.fromEntries(
    Object.entries(CALLED).map(([name, place]) => [name, address(place)]),
  ) as Record<keyof typeof CALLED, bigint>;
  const parts = {
    self: selfCode(),
    name: nameCode(),
    none: numberCode(0n),
    one: numberCode(1n),
    compute: computeCode(functions),
    quantize: quantizeCode(table.constants),
  };
  const multiply = Array.from({ length: MOST_ROWS }, (_, i) => multiplyCode(i + 1));
  const memory = nativeCode([...Object.values(parts), ...multiply]);
  const names = Object.keys(parts) as (keyof typeof parts)[];
  table.setDivisions(memory.addresses.slice(names.length));
  const addresses = Object.fromEntries(names.map((name, i) => [name, memory.addresses[i]!]));
  return { memory, addresses: addresses as Code["addresses"] };
}
