/*
 * Machine code of x86-64 with AVX-512, as much of it as the kernels here are made of. Operands come in Intel's order: the
 * target first. Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, sections 2.1 (REX), 2.7 (EVEX).
 */

/** General registers by their numbers. */
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;
export const R8 = 8;
export const R9 = 9;
export const R10 = 10;
export const R11 = 11;
export const R12 = 12;
export const R13 = 13;
export const R14 = 14;
export const R15 = 15;

/** What a function leaves as it was, beside the stack's pointer: System V ABI for x86-64, section 3.2.1. */
const SAVED = [RBX, RBP, R12, R13, R14, R15];

/** What lies `offset` bytes behind the address in a general register. */
export interface Memory {
  readonly base: number;
  readonly offset: number;
  /** One number that stands for all of a vector. */
  readonly forAll?: boolean;
}

export function at(base: number, offset = 0): Memory {
  return { base, offset };
}

export function forAll(base: number, offset = 0): Memory {
  return { base, offset, forAll: true };
}

/** A place in the code. */
export interface Label {
  position: number | null;
  readonly uses: number[];
}

/** Conditions of signed comparisons, as jumps number them. */
export const IF = { equal: 4, notEqual: 5, less: 12, atLeast: 13, atMost: 14, greater: 15 } as const;

/** The same as comparisons of vectors number them. */
export const WHERE = { equal: 0, less: 1, atMost: 2, atLeast: 5, greater: 14 } as const;

/** MXCSR as programs begin with it, with FTZ and DAZ. */
export const FLUSHING = 0x9f_c0;

const MAP_0F = 1;
const MAP_0F38 = 2;
const MAP_0F3A = 3;
const NONE = 0;
const P66 = 1;
const F3 = 2;

/** A bit of a register's number, the other way round, as the prefixes have them. */
const not = (number: number, bit: number): number => ((number >> bit) & 1) ^ 1;

type Operand = number | Memory;
export type Assembler = ReturnType<typeof createAssembler>;

export function createAssembler() {
  const bytes: number[] = [];
  const uses = new Set<Label>();
  const byte = (...values: readonly number[]): void => void bytes.push(...values);
  const int32 = (value: number): void => {
    byte(value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255);
  };

  /** ModRM and what belongs to it, with 32-bit offsets always: so that no vector's size compresses them. */
  function operand(reg: number, rm: Operand): void {
    const field = (reg & 7) << 3;
    if (typeof rm === "number") return byte(0xc0 | field | (rm & 7));
    byte(0x80 | field | (rm.base & 7));
    // The number of rsp says that a SIB byte follows; 0x24 has a base alone.
    if ((rm.base & 7) === RSP) byte(0x24);
    int32(rm.offset);
  }

  function general(opcode: readonly number[], reg: number, rm: Operand): void {
    const base = typeof rm === "number" ? rm : rm.base;
    byte(0x48 | ((reg >> 3) << 2) | (base >> 3), ...opcode);
    operand(reg, rm);
  }

  interface Vector {
    readonly map: number;
    readonly prefix: number;
    readonly opcode: number;
    /** 512 bits, or the lowest number alone. */
    readonly scalar?: boolean;
    /** Numbers of 64 bits. */
    readonly wide?: boolean;
    /** A mask register, which chooses numbers; 0: all. */
    readonly mask?: number;
  }

  function vector(
    { map, prefix, opcode, scalar = false, wide = false, mask = 0 }: Vector,
    reg: number,
    second: number,
    rm: Operand,
  ): void {
    const inRegister = typeof rm === "number";
    const low = inRegister ? rm : rm.base;
    byte(
      0x62,
      (not(reg, 3) << 7) |
        ((inRegister ? not(rm, 4) : 1) << 6) |
        (not(low, 3) << 5) |
        (not(reg, 4) << 4) |
        map,
      (wide ? 0x80 : 0) | ((~second & 15) << 3) | 4 | prefix,
      ((scalar ? 0 : 2) << 5) | (!inRegister && rm.forAll === true ? 0x10 : 0) | (not(second, 4) << 3) | mask,
      opcode,
    );
    operand(reg, rm);
  }

  function moveTile(prefix: number, tile: number, { base, offset }: Memory, stride: number): void {
    byte(0xc4, 0x80 | (not(stride, 3) << 6) | (not(base, 3) << 5) | MAP_0F38, prefix, 0x4b);
    byte(0x84 | (tile << 3), ((stride & 7) << 3) | (base & 7));
    int32(offset);
  }

  const three =
    (map: number, prefix: number, opcode: number) =>
    (target: number, a: number, b: Operand): void =>
      vector({ map, prefix, opcode }, target, a, b);
  const two =
    (map: number, prefix: number, opcode: number) =>
    (target: number, source: Operand): void =>
      vector({ map, prefix, opcode }, target, 0, source);
  const shift =
    (digit: number) =>
    (target: number, source: number, bits: number): void => {
      vector({ map: MAP_0F, prefix: P66, opcode: 0x72 }, digit, target, source);
      byte(bits);
    };
  const generalShift =
    (digit: number) =>
    (target: number, bits: number): void => {
      general([0xc1], digit, target);
      byte(bits);
    };
  const arithmetic =
    (digit: number, opcode: number) => (target: number, source: Operand | { imm: number }) => {
      if (typeof source === "object" && "imm" in source) {
        general([0x81], digit, target);
        int32(source.imm);
      } else general([opcode + 2], target, source);
    };

  return {
    label: (): Label => ({ position: null, uses: [] }),
    place(label: Label): void {
      label.position = bytes.length;
    },
    jump(label: Label, condition?: number): void {
      byte(...(condition === undefined ? [0xe9] : [0x0f, 0x80 | condition]));
      label.uses.push(bytes.length);
      uses.add(label);
      int32(0);
    },
    mov: (target: number, source: Operand): void => general([0x8b], target, source),
    store: (target: Memory, source: number): void => general([0x89], source, target),
    movAddress(target: number, address: bigint): void {
      byte(0x48 | (target >> 3), 0xb8 | (target & 7));
      for (let i = 0n; i < 64n; i += 8n) byte(Number((address >> i) & 255n));
    },
    lea: (target: number, source: Memory): void => general([0x8d], target, source),
    add: arithmetic(0, 0x01),
    sub: arithmetic(5, 0x29),
    cmp: arithmetic(7, 0x39),
    mul: (target: number, source: Operand): void => general([0x0f, 0xaf], target, source),
    /** Times, or divided by, a power of two. */
    shl: generalShift(4),
    shr: generalShift(5),
    /** Down to a multiple of a power of two. */
    align: (target: number, multiple: number): void => {
      general([0x81], 4, target);
      int32(-multiple);
    },
    /** rax and rdx: quotient and remainder of rax by a number, both not negative. */
    divideRax(by: Operand): void {
      general([0x31], RDX, RDX);
      general([0xf7], 6, by);
    },
    /** A number of 32 bits with a sign. */
    movInt32: (target: number, source: Memory): void => general([0x63], target, source),
    /** Sixteen bits, from and to memory. */
    movWord: (target: number, source: Memory): void => general([0x0f, 0xb7], target, source),
    storeWord(target: Memory, source: number): void {
      byte(0x66, 0x40 | ((source >> 3) << 2) | (target.base >> 3), 0x89);
      operand(source, target);
    },
    moveIf: (condition: number, target: number, source: number): void =>
      general([0x0f, 0x40 | condition], target, source),
    call: (target: number): void => byte(0x40 | (target >> 3), 0xff, 0xd0 | (target & 7)),
    /** Begins a function: what a caller wants unchanged is put on the stack, 48 bytes. */
    enter(): void {
      for (const register of SAVED) byte(0x40 | (register >> 3), 0x50 | (register & 7));
    },
    /** Ends a function that began with `enter`. */
    leave(): void {
      // Before code that knows no AVX-512 goes on.
      byte(0xc5, 0xf8, 0x77);
      for (const register of SAVED.toReversed()) byte(0x40 | (register >> 3), 0x58 | (register & 7));
      byte(0xc3);
    },
    ret: (): void => byte(0xc3),
    /** How floats are computed: `FLUSHING` takes what is below the normal numbers for 0, which is much faster. */
    loadControl({ base, offset }: Memory): void {
      byte(0x40 | (base >> 3), 0x0f, 0xae);
      operand(2, { base, offset });
    },
    storeControl({ base, offset }: Memory): void {
      byte(0x40 | (base >> 3), 0x0f, 0xae);
      operand(3, { base, offset });
    },
    /** Into the second cache. */
    prefetch({ base, offset }: Memory): void {
      byte(0x40 | (base >> 3), 0x0f, 0x18);
      operand(2, { base, offset });
    },

    /** Vectors have sixteen numbers of 32 bits. */
    load: two(MAP_0F, NONE, 0x10),
    storeVector: (target: Memory, source: number): void =>
      vector({ map: MAP_0F, prefix: NONE, opcode: 0x11 }, source, 0, target),
    /** The lowest number alone. */
    storeLowest: (target: Memory, source: number): void =>
      vector({ map: MAP_0F, prefix: F3, opcode: 0x11, scalar: true }, source, 0, target),
    /** The lowest byte of each number: sixteen bytes. */
    storeBytes: (target: Memory, source: number): void =>
      vector({ map: MAP_0F38, prefix: F3, opcode: 0x31 }, source, 0, target),
    broadcast: two(MAP_0F38, P66, 0x58),
    /** Adds the products of four unsigned bytes of `a` with four signed ones of `b` to each number. */
    dotBytes: three(MAP_0F38, P66, 0x50),
    /** target += a · b. */
    multiplyAdd: three(MAP_0F38, P66, 0xb8),
    /** target −= a · b. */
    multiplySubtract: three(MAP_0F38, P66, 0xbc),
    /** target = target · a + b. */
    multiplyThenAdd: three(MAP_0F38, P66, 0xa8),
    addFloats: three(MAP_0F, NONE, 0x58),
    subtractFloats: three(MAP_0F, NONE, 0x5c),
    multiply: three(MAP_0F, NONE, 0x59),
    divide: three(MAP_0F, NONE, 0x5e),
    min: three(MAP_0F, NONE, 0x5d),
    max: three(MAP_0F, NONE, 0x5f),
    /** ⌊log₂ |x|⌋ as floats, and what is left of x, in [1, 2). */
    exponent: two(MAP_0F38, P66, 0x42),
    mantissa(target: number, source: number): void {
      vector({ map: MAP_0F3A, prefix: P66, opcode: 0x26 }, target, 0, source);
      byte(0);
    },
    /** a · 2^b for whole b. */
    scaleBinary: three(MAP_0F38, P66, 0x2c),
    and: three(MAP_0F, P66, 0xdb),
    xor: three(MAP_0F, P66, 0xef),
    addIntegers: three(MAP_0F, P66, 0xfe),
    minIntegers: three(MAP_0F38, P66, 0x39),
    subtractIntegers: three(MAP_0F, P66, 0xfa),
    shiftLeft: shift(6),
    shiftRight: shift(2),
    /** target = a + b byte by byte where the mask has it; elsewhere it stays. */
    addBytes: (target: number, mask: number, a: number, b: number): void =>
      vector({ map: MAP_0F, prefix: P66, opcode: 0xfc, mask }, target, a, b),
    /** Sixteen or sixty-four bits from memory into a mask register. */
    loadMask(mask: number, { base, offset }: Memory, bits: 16 | 64): void {
      byte(0xc4, (not(mask, 3) << 7) | 0x40 | (not(base, 3) << 5) | MAP_0F, bits === 64 ? 0xf8 : 0x78, 0x90);
      operand(mask, { base, offset });
    },
    toFloats: two(MAP_0F, NONE, 0x5b),
    /** Rounds to the nearest, ties to even. */
    toIntegers: two(MAP_0F, P66, 0x5b),
    /** The nearest whole numbers as floats. */
    round(target: number, source: number): void {
      vector({ map: MAP_0F3A, prefix: P66, opcode: 0x08 }, target, 0, source);
      byte(0);
    },
    /** Sixteen numbers of 16 bits from memory, IEEE half precision. */
    loadHalves: two(MAP_0F38, P66, 0x13),
    storeHalves(target: Memory, source: number): void {
      vector({ map: MAP_0F3A, prefix: P66, opcode: 0x1d }, source, 0, target);
      byte(0);
    },
    /** Eight numbers from memory, twice. */
    loadEightTwice: (target: number, source: Memory): void =>
      vector({ map: MAP_0F38, prefix: P66, opcode: 0x1b, wide: true }, target, 0, source),
    /** target_i = source at the place that `places` has at i. */
    permute: three(MAP_0F38, P66, 0x16),
    /** Into a mask register: where a and b compare so, and, with `among`, where that mask has it as well. */
    compareIntegers(mask: number, where: number, a: number, b: Operand, among = 0): void {
      vector({ map: MAP_0F3A, prefix: P66, opcode: 0x1f, mask: among }, mask, a, b);
      byte(where);
    },
    compareFloats(mask: number, where: number, a: number, b: Operand): void {
      vector({ map: MAP_0F, prefix: NONE, opcode: 0xc2 }, mask, a, b);
      byte(where);
    },
    /** target = b where the mask has it, else a. */
    blend: (target: number, mask: number, a: number, b: Operand): void =>
      vector({ map: MAP_0F38, prefix: P66, opcode: 0x65, mask }, target, a, b),
    /** Moves whole quarters of a vector. */
    shuffleQuarters(target: number, source: number, order: number): void {
      vector({ map: MAP_0F3A, prefix: P66, opcode: 0x23 }, target, source, source);
      byte(order);
    },
    /** Moves numbers within each quarter. */
    shuffleWithin(target: number, source: number, order: number): void {
      vector({ map: MAP_0F3A, prefix: P66, opcode: 0x04 }, target, 0, source);
      byte(order);
    },
    /** Tiles of AMX: eight registers of up to sixteen rows of 64 bytes, as a configuration of 64 bytes says. */
    configureTiles({ base, offset }: Memory): void {
      byte(0xc4, 0xc0 | (not(base, 3) << 5) | MAP_0F38, 0x78, 0x49);
      operand(0, { base, offset });
    },
    releaseTiles: (): void => byte(0xc4, 0xe0 | MAP_0F38, 0x78, 0x49, 0xc0),
    zeroTile: (tile: number): void => byte(0xc4, 0xe0 | MAP_0F38, 0x7b, 0x49, 0xc0 | (tile << 3)),
    /** Rows lie as many bytes apart as a register says. */
    loadTile: (tile: number, source: Memory, stride: number): void => moveTile(0x7b, tile, source, stride),
    storeTile: (target: Memory, stride: number, tile: number): void => moveTile(0x7a, tile, target, stride),
    /** Adds the products of four signed bytes of `a` with four unsigned ones of `b` to each number. */
    dotTiles: (target: number, a: number, b: number): void =>
      byte(0xc4, 0xe0 | MAP_0F38, ((~b & 15) << 3) | F3, 0x5e, 0xc0 | (target << 3) | a),
    finish(): Uint8Array {
      const code = Uint8Array.from(bytes);
      const view = new DataView(code.buffer);
      for (const { position, uses: places } of uses) {
        if (position === null) throw new Error("assembler: a jump leads nowhere");
        for (const place of places) view.setInt32(place, position - (place + 4), true);
      }
      return code;
    },
  };
}
