import { readFileSync } from "node:fs";
import koffi from "koffi";
import { nativeCode, nativeFloats } from "../native-memory.ts";
import {
  at,
  createAssembler,
  IF,
  R12,
  R13,
  R14,
  R8,
  RAX,
  RBP,
  RBX,
  RCX,
  RDI,
  RDX,
  RSI,
  RSP,
  type Assembler,
  type Memory,
} from "./assembler.ts";

/*
 * Operators of onnxruntime in machine code: each a struct of functions (OrtCustomOp of onnxruntime_c_api.h, as of
 * version 7 of the interface), which onnxruntime calls on the threads of its runs, with what they need behind it.
 */

/** Where the operators are found. */
export const DOMAIN = "concord";

/** Whether there are vectors of 512 bits and products of bytes in them, and functions are called as the code here does. */
export function hasOperators(): boolean {
  return has(["avx512f", "avx512bw", "avx512_vnni"]);
}

let tiles: boolean | null = null;

/** Whether there are tiles of bytes (AMX), and the system lets this process use them. */
export function hasTiles(): boolean {
  tiles ??= hasOperators() && has(["amx_tile", "amx_int8"]) && requestTiles();
  return tiles;
}

function has(features: readonly string[]): boolean {
  if (process.platform !== "linux" || process.arch !== "x64") return false;
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" ") ?? [];
  return features.every((feature) => flags.includes(feature));
}

/** Linux saves a thread's tiles only where a process has asked for it: Documentation/arch/x86/xstate.rst. */
function requestTiles(): boolean {
  const [ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA] = [158, 0x10_23, 18];
  const call = koffi.load(null).func("int64_t syscall(int64_t, int64_t, int64_t)");
  return call(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) === 0;
}

/** Functions of onnxruntime that the operators call: places in its table. */
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

/** Their addresses. */
export type Functions = Readonly<Record<keyof typeof CALLED, bigint>>;

/** @param address of a function in onnxruntime's table */
export function calledFunctions(address: (place: number) => bigint): Functions {
  const entries = Object.entries(CALLED).map(([name, place]) => [name, address(place)]);
  return Object.fromEntries(entries) as Functions;
}

/** Types of tensors as onnxruntime and graphs number them. */
export const TYPES = { float32: 1, uint16: 4, int32: 6, int64: 7 } as const;

/** Inputs or outputs of an operator. */
const MOST_PORTS = 8;

/** Where what lies in an operator: the struct's functions, then what is ours. */
const OPERATOR = {
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
  inputCount: 264,
  outputCount: 272,
  inputTypes: 280,
  outputTypes: 280 + 8 * MOST_PORTS,
} as const;
/** Where a kind of operator has what it needs, each in 64 bits. */
export const OWN = OPERATOR.outputTypes + 8 * MOST_PORTS;
const INTERFACE_VERSION = 7;
const NAME_BYTES = 24;

export interface Operator {
  readonly name: string;
  readonly inputTypes: readonly number[];
  readonly outputTypes: readonly number[];
  /** Address of KernelCompute(operator, context). */
  readonly compute: bigint;
  /** What it needs, by place from OWN on, and where that ends. */
  readonly own: Readonly<Record<number, number | bigint>>;
  readonly ownEnd: number;
}

export interface Operators {
  /** For CustomOpDomain_Add. */
  readonly addresses: readonly bigint[];
  release(): void;
}

/** Fields of what lies at `place` of an operator, as its own. */
export function behind(
  place: number,
  fields: Readonly<Record<number, number | bigint>>,
): Record<number, number | bigint> {
  return Object.fromEntries(Object.entries(fields).map(([offset, value]) => [place + Number(offset), value]));
}

/** Puts operators where onnxruntime can call them. */
export function createOperators(operators: readonly Operator[]): Operators {
  const code = nativeCode([
    selfCode(),
    fieldCode(OPERATOR.name),
    fieldCode(OPERATOR.inputCount),
    fieldCode(OPERATOR.outputCount),
    typeCode(OPERATOR.inputTypes),
    typeCode(OPERATOR.outputTypes),
    numberCode(0n),
  ]);
  const [
    self = 0n,
    name = 0n,
    inputCount = 0n,
    outputCount = 0n,
    inputType = 0n,
    outputType = 0n,
    none = 0n,
  ] = code.addresses;
  const nameAt = Math.max(...operators.map(({ ownEnd }) => ownEnd));
  const stride = nameAt + NAME_BYTES;
  const memory = nativeFloats((operators.length * stride) / 4);
  const numbers = new BigInt64Array(memory.values.buffer);
  const begin = koffi.address(memory.values);
  const addresses = operators.map((operator, i) => {
    const from = i * stride;
    const put = (offset: number, value: number | bigint): void => {
      numbers[(from + offset) / 8] = BigInt(value);
    };
    const text = new TextEncoder().encode(`${operator.name}\0`);
    const ports = [
      { types: operator.inputTypes, count: OPERATOR.inputCount, first: OPERATOR.inputTypes },
      { types: operator.outputTypes, count: OPERATOR.outputCount, first: OPERATOR.outputTypes },
    ];
    if (text.length > NAME_BYTES || ports.some(({ types }) => types.length > MOST_PORTS)) {
      throw new Error(
        `operator ${operator.name}: the name is too long, or there are too many inputs or outputs`,
      );
    }
    new Uint8Array(memory.values.buffer).set(text, from + nameAt);
    put(OPERATOR.version, INTERFACE_VERSION);
    put(OPERATOR.createKernel, self);
    put(OPERATOR.getName, name);
    put(OPERATOR.getProvider, none);
    put(OPERATOR.getInputType, inputType);
    put(OPERATOR.getInputCount, inputCount);
    put(OPERATOR.getOutputType, outputType);
    put(OPERATOR.getOutputCount, outputCount);
    put(OPERATOR.compute, operator.compute);
    put(OPERATOR.destroy, none);
    put(OPERATOR.getInputCharacteristic, none);
    put(OPERATOR.getOutputCharacteristic, none);
    put(OPERATOR.getInputMemoryType, none);
    put(OPERATOR.name, begin + BigInt(from + nameAt));
    for (const { types, count, first } of ports) {
      put(count, types.length);
      for (const [port, type] of types.entries()) put(first + 8 * port, type);
    }
    for (const [offset, value] of Object.entries(operator.own)) put(Number(offset), value);
    return begin + BigInt(from);
  });
  return {
    addresses,
    release() {
      memory.release();
      code.release();
    },
  };
}

/** Code that gives back its parameter, which is the operator's address. */
function selfCode(): Uint8Array {
  const a = createAssembler();
  a.mov(RAX, RDI);
  a.ret();
  return a.finish();
}

/** Code of f(operator) that gives back a field. */
function fieldCode(offset: number): Uint8Array {
  const a = createAssembler();
  a.mov(RAX, at(RDI, offset));
  a.ret();
  return a.finish();
}

/** Code of f(operator, i) that gives back one of several. */
function typeCode(offset: number): Uint8Array {
  const a = createAssembler();
  a.shl(RSI, 3);
  a.add(RSI, RDI);
  a.mov(RAX, at(RSI, offset));
  a.ret();
  return a.finish();
}

/** Code that gives back a number whatever it is asked. */
export function numberCode(value: bigint): Uint8Array {
  const a = createAssembler();
  a.movAddress(RAX, value);
  a.ret();
  return a.finish();
}

const MOST_DIMENSIONS = 8;
const STACK = { value: 0, info: 8, count: 16, data: 24, dimensions: 32 } as const;
/** With what `enter` saves the stack stays at a multiple of 16. */
const STACK_BYTES = STACK.dimensions + 8 * MOST_DIMENSIONS + 8;

/**
 * What computing functions are made of. They keep the operator's address in rbx and the context's in rbp; what is called
 * changes all that a call may change.
 */
export function computing(a: Assembler, functions: Functions) {
  const call = (name: keyof Functions): void => {
    a.movAddress(RAX, functions[name]);
    a.call(RAX);
  };
  const inParallel = (): void => {
    a.mov(RDI, RBP);
    a.movAddress(RCX, 0n);
    call("parallelFor");
  };
  return {
    /** `count` dimensions of the last input. */
    dimensions: at(RSP, STACK.dimensions),
    count: at(RSP, STACK.count),
    begin(): void {
      a.enter();
      a.sub(RSP, { imm: STACK_BYTES });
      a.mov(RBX, RDI);
      a.mov(RBP, RSI);
    },
    end(): void {
      a.add(RSP, { imm: STACK_BYTES });
      a.leave();
    },
    /** rax: where an input's numbers lie. */
    input(index: number): void {
      a.mov(RDI, RBP);
      a.movAddress(RSI, BigInt(index));
      a.lea(RDX, at(RSP, STACK.value));
      call("getInput");
      a.mov(RDI, at(RSP, STACK.value));
      a.lea(RSI, at(RSP, STACK.data));
      call("getTensorMutableData");
      a.mov(RAX, at(RSP, STACK.data));
    },
    /** Reads the dimensions of the last input. */
    readDimensions(): void {
      a.mov(RDI, at(RSP, STACK.value));
      a.lea(RSI, at(RSP, STACK.info));
      call("getTensorTypeAndShape");
      a.mov(RDI, at(RSP, STACK.info));
      a.lea(RSI, at(RSP, STACK.count));
      call("getDimensionsCount");
      a.mov(RDI, at(RSP, STACK.info));
      a.lea(RSI, at(RSP, STACK.dimensions));
      a.mov(RDX, at(RSP, STACK.count));
      call("getDimensions");
      a.mov(RDI, at(RSP, STACK.info));
      call("releaseTensorTypeAndShapeInfo");
    },
    /** rax: where an output's numbers go, whose dimensions are those that were read, as they were changed since. */
    output(index = 0): void {
      a.mov(RDI, RBP);
      a.movAddress(RSI, BigInt(index));
      a.lea(RDX, at(RSP, STACK.dimensions));
      a.mov(RCX, at(RSP, STACK.count));
      a.lea(R8, at(RSP, STACK.value));
      call("getOutput");
      a.mov(RDI, at(RSP, STACK.value));
      a.lea(RSI, at(RSP, STACK.data));
      call("getTensorMutableData");
      a.mov(RAX, at(RSP, STACK.data));
    },
    /** f(user in r8, i) on the threads that there are, for i below rdx and f in rsi. */
    inParallel,
    /** f(user, i) for i below r12 and f in r13, on this thread where it is the only one. Changes r14. */
    each(threads: Memory, user: Memory): void {
      const [alone, next, done] = [a.label(), a.label(), a.label()];
      a.mov(RAX, threads);
      a.cmp(RAX, { imm: 1 });
      a.jump(alone, IF.equal);
      a.mov(RSI, R13);
      a.mov(RDX, R12);
      a.lea(R8, user);
      inParallel();
      a.jump(done);
      a.place(alone);
      a.movAddress(R14, 0n);
      a.place(next);
      a.lea(RDI, user);
      a.mov(RSI, R14);
      a.call(R13);
      a.add(R14, { imm: 1 });
      a.cmp(R14, R12);
      a.jump(next, IF.less);
      a.place(done);
    },
  };
}
