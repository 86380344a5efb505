import { at, createAssembler, R12, R13, R8, RAX, RBX, RCX, RDI } from "./assembler.ts";
import { ATTENTION, ATTENTION_BYTES, MOST_QUERIES, type AttentionShape } from "./attention-kernels.ts";
import { computing, OWN, type Functions } from "./operator.ts";

/** An attention as an operator: where what lies in it. */
export const ATTENTION_OPERATOR = {
  threads: OWN,
  append: OWN + 8,
  /** Code that attends with so many queries, from one on. */
  attend: OWN + 16,
  attention: OWN + 16 + 8 * MOST_QUERIES,
} as const;
export const ATTENTION_OPERATOR_END = ATTENTION_OPERATOR.attention + ATTENTION_BYTES;

/** Inputs behind the queries, keys and values, or what packs these. */
const BEHIND = [ATTENTION.keys, ATTENTION.values, ATTENTION.lastIndex, ATTENTION.cos, ATTENTION.sin] as const;

/**
 * Code of KernelCompute(operator, context): appends to the cache, then attends, (b, t, heads · head). Inputs: queries, new
 * keys and new values (b, t, …), or one in which each token has all three; then what BEHIND says, the cache of which is
 * written to. The window and the positions are the operator's own.
 */
export function attentionCode(shape: AttentionShape, packed: boolean, functions: Functions): Uint8Array {
  const { heads, kvHeads, headSize } = shape;
  const a = createAssembler();
  const { dimensions, begin, end, input, readDimensions, output, each } = computing(a, functions);
  const attention = (offset: number) => at(RBX, ATTENTION_OPERATOR.attention + offset);
  const dimension = (i: number) => at(dimensions.base, dimensions.offset + 8 * i);
  const put = (offset: number, value: number): void => {
    a.movAddress(RAX, BigInt(value));
    a.store(attention(offset), RAX);
  };
  const [queryBytes, keyBytes] = [4 * heads * headSize, 4 * kvHeads * headSize];
  begin();
  for (const [i, field] of BEHIND.entries()) {
    input(i + (packed ? 1 : 3));
    a.store(attention(field), RAX);
    if (field !== ATTENTION.keys) continue;
    readDimensions();
    a.mov(RAX, dimension(2));
    a.movAddress(RCX, BigInt(2 * headSize));
    a.mul(RAX, RCX);
    a.store(attention(ATTENTION.headBytes), RAX);
  }
  if (!packed) {
    input(1);
    a.store(attention(ATTENTION.newKeys), RAX);
    input(2);
    a.store(attention(ATTENTION.newValues), RAX);
  }
  input(0);
  a.store(attention(ATTENTION.queries), RAX);
  if (packed) {
    a.add(RAX, { imm: queryBytes });
    a.store(attention(ATTENTION.newKeys), RAX);
    a.add(RAX, { imm: keyBytes });
    a.store(attention(ATTENTION.newValues), RAX);
  }
  put(ATTENTION.queryStride, packed ? queryBytes + 2 * keyBytes : queryBytes);
  put(ATTENTION.newKeyStride, packed ? queryBytes + 2 * keyBytes : keyBytes);
  put(ATTENTION.newValueStride, packed ? queryBytes + 2 * keyBytes : keyBytes);
  readDimensions();
  a.mov(RAX, dimension(0));
  a.store(attention(ATTENTION.sequences), RAX);
  a.mov(RAX, dimension(1));
  a.store(attention(ATTENTION.tokens), RAX);
  a.movAddress(RAX, BigInt(heads * headSize));
  a.store(dimension(2), RAX);
  output();
  a.store(attention(ATTENTION.output), RAX);
  a.lea(RDI, attention(0));
  a.mov(RAX, at(RBX, ATTENTION_OPERATOR.append));
  a.call(RAX);

  // As many groups as must be, of the same size; R12: all parts.
  a.mov(RCX, attention(ATTENTION.tokens));
  a.movAddress(RAX, BigInt(heads / kvHeads));
  a.mul(RCX, RAX);
  a.lea(RAX, at(RCX, MOST_QUERIES - 1));
  a.movAddress(R8, BigInt(MOST_QUERIES));
  a.divideRax(R8);
  a.store(attention(ATTENTION.groups), RAX);
  a.mov(R12, RAX);
  a.add(RCX, RAX);
  a.lea(RAX, at(RCX, -1));
  a.divideRax(R12);
  a.store(attention(ATTENTION.groupQueries), RAX);
  a.shl(RAX, 3);
  a.add(RAX, RBX);
  a.mov(R13, at(RAX, ATTENTION_OPERATOR.attend - 8));
  a.mul(R12, attention(ATTENTION.sequences));
  a.movAddress(RAX, BigInt(kvHeads));
  a.mul(R12, RAX);

  each(at(RBX, ATTENTION_OPERATOR.threads), attention(0));
  end();
  return a.finish();
}
