import {
  at,
  createAssembler,
  IF,
  R12,
  R13,
  R14,
  R15,
  R8,
  RAX,
  RBP,
  RBX,
  RCX,
  RDI,
  RDX,
  RSI,
  RSP,
  type Memory,
} from "./assembler.ts";
import { BLOCK, PANEL_ROWS, PRODUCT, PRODUCT_BYTES } from "./product-kernels.ts";

/*
 * A product as an operator of onnxruntime: its struct of functions (OrtCustomOp of onnxruntime_c_api.h, as of version 7 of the
 * interface), which onnxruntime calls on the threads of its runs, with what they need behind it.
 */

/** Functions of onnxruntime that the operator calls: places in its table. */
export const CALLED = {
  getTensorMutableData: 51,
  getDimensionsCount: 61,
  getDimensions: 62,
  getTensorTypeAndShape: 65,
  getInput: 90,
  getOutput: 91,
  releaseTensorTypeAndShapeInfo: 99,
  parallelFor: 274,
} as const;

/** Where what lies in an operator: the struct's functions, then what is ours. */
export const OPERATOR = {
  version: 0,
  createKernel: 8,
  getName: 16,
  getProvider: 24,
  getInputType: 32,
  getInputCount: 40,
  getOutputType: 48,
  getOutputCount: 56,
  compute: 64,
  destroy: 72,
  getInputCharacteristic: 80,
  getOutputCharacteristic: 88,
  getInputMemoryType: 96,
  /** Behind the struct, whatever onnxruntime may look for at its end. */
  name: 256,
  /** How a panel of so many rows is divided: `DIVISION` for each number of rows from 0 on. */
  divisions: 264,
  quantize: 272,
  /** Calls that a panel's tiles are divided into: one, or as many as several threads share well. */
  calls: 280,
  product: 288,
} as const;
export const OPERATOR_BYTES = OPERATOR.product + PRODUCT_BYTES;
export const INTERFACE_VERSION = 7;

/** A division of a panel: groups, their rows, bytes of their records, and the code that multiplies them, each in 64 bits. */
export const DIVISION_BYTES = 32;

/** Code that gives back its parameter, which is the operator's address. */
export function selfCode(): Uint8Array {
  const a = createAssembler();
  a.mov(RAX, RDI);
  a.ret();
  return a.finish();
}

export function nameCode(): Uint8Array {
  const a = createAssembler();
  a.mov(RAX, at(RDI, OPERATOR.name));
  a.ret();
  return a.finish();
}

/** Code that gives back a number whatever it is asked: 1 is the number of inputs, and the type float32. */
export function numberCode(value: bigint): Uint8Array {
  const a = createAssembler();
  a.movAddress(RAX, value);
  a.ret();
  return a.finish();
}

const MOST_DIMENSIONS = 8;
/** What the code below keeps on the stack. */
const LOCAL = { input: 0, info: 8, count: 16, output: 24, x: 32, y: 40, dimensions: 48 } as const;
/** With what `enter` saves the stack stays at a multiple of 16. */
const LOCAL_BYTES = LOCAL.dimensions + 8 * MOST_DIMENSIONS + 8;

const local = (offset: number): Memory => at(RSP, offset);
const product = (offset: number): Memory => at(RBX, OPERATOR.product + offset);

/** Code of KernelCompute(operator, context): y (…, N) of x (…, K), panel after panel. */
export function computeCode(functions: Readonly<Record<keyof typeof CALLED, bigint>>): Uint8Array {
  const a = createAssembler();
  const call = (name: keyof typeof CALLED): void => {
    a.movAddress(RAX, functions[name]);
    a.call(RAX);
  };
  a.enter();
  a.sub(RSP, { imm: LOCAL_BYTES });
  a.mov(RBX, RDI);
  a.mov(RBP, RSI);

  a.mov(RDI, RBP);
  a.movAddress(RSI, 0n);
  a.lea(RDX, local(LOCAL.input));
  call("getInput");
  a.mov(RDI, local(LOCAL.input));
  a.lea(RSI, local(LOCAL.info));
  call("getTensorTypeAndShape");
  a.mov(RDI, local(LOCAL.info));
  a.lea(RSI, local(LOCAL.count));
  call("getDimensionsCount");
  a.mov(RDI, local(LOCAL.info));
  a.lea(RSI, local(LOCAL.dimensions));
  a.mov(RDX, local(LOCAL.count));
  call("getDimensions");
  a.mov(RDI, local(LOCAL.info));
  call("releaseTensorTypeAndShapeInfo");

  // R12: rows, the product of all dimensions but the last, which becomes N.
  const [dimensions, counted] = [a.label(), a.label()];
  a.movAddress(R12, 1n);
  a.lea(RAX, local(LOCAL.dimensions));
  a.mov(RCX, local(LOCAL.count));
  a.place(dimensions);
  a.sub(RCX, { imm: 1 });
  a.jump(counted, IF.equal);
  a.mul(R12, at(RAX));
  a.add(RAX, { imm: 8 });
  a.jump(dimensions);
  a.place(counted);
  a.mov(RDX, product(PRODUCT.rowBytes));
  a.shr(RDX, 2);
  a.store(at(RAX), RDX);

  a.mov(RDI, RBP);
  a.movAddress(RSI, 0n);
  a.lea(RDX, local(LOCAL.dimensions));
  a.mov(RCX, local(LOCAL.count));
  a.lea(R8, local(LOCAL.output));
  call("getOutput");
  for (const [from, to] of [
    [LOCAL.input, LOCAL.x],
    [LOCAL.output, LOCAL.y],
  ] as const) {
    a.mov(RDI, local(from));
    a.lea(RSI, local(to));
    call("getTensorMutableData");
  }

  const [panels, direct, next, end] = [a.label(), a.label(), a.label(), a.label()];
  a.mov(R13, local(LOCAL.x));
  a.mov(R14, local(LOCAL.y));
  a.place(panels);
  a.cmp(R12, { imm: 0 });
  a.jump(end, IF.atMost);
  a.store(product(PRODUCT.x), R13);
  a.store(product(PRODUCT.y), R14);
  a.movAddress(RCX, BigInt(PANEL_ROWS));
  a.cmp(RCX, R12);
  a.moveIf(IF.greater, RCX, R12);
  a.store(product(PRODUCT.rows), RCX);
  a.shl(RCX, Math.log2(DIVISION_BYTES));
  a.add(RCX, at(RBX, OPERATOR.divisions));
  for (const [i, field] of [PRODUCT.groups, PRODUCT.groupRows, PRODUCT.recordsBytes].entries()) {
    a.mov(RAX, at(RCX, 8 * i));
    a.store(product(field), RAX);
  }
  a.mov(R15, at(RCX, 24));
  a.lea(RDI, product(0));
  a.mov(RAX, at(RBX, OPERATOR.quantize));
  a.call(RAX);
  a.mov(RDX, at(RBX, OPERATOR.calls));
  a.cmp(RDX, { imm: 1 });
  a.jump(direct, IF.equal);
  a.mov(RDI, RBP);
  a.mov(RSI, R15);
  a.movAddress(RCX, 0n);
  a.lea(R8, product(0));
  call("parallelFor");
  a.jump(next);
  a.place(direct);
  a.lea(RDI, product(0));
  a.movAddress(RSI, 0n);
  a.call(R15);
  a.place(next);
  a.mov(RCX, product(PRODUCT.rows));
  a.sub(R12, RCX);
  a.mov(RAX, product(PRODUCT.rowBytes));
  a.mul(RAX, RCX);
  a.add(R14, RAX);
  a.mov(RAX, product(PRODUCT.blocks));
  a.shl(RAX, Math.log2(4 * BLOCK));
  a.mul(RAX, RCX);
  a.add(R13, RAX);
  a.jump(panels);
  a.place(end);
  a.add(RSP, { imm: LOCAL_BYTES });
  a.leave();
  return a.finish();
}
