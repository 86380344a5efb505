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
  RBX,
  RCX,
  RDI,
  RDX,
  RSI,
} from "./assembler.ts";
import { computing, OWN, type Functions } from "./operator.ts";
import { BLOCK, PANEL_ROWS, PRODUCT, PRODUCT_BYTES } from "./product-layout.ts";

/** A product as an operator: where what lies in it. */
export const PRODUCT_OPERATOR = {
  /** How a panel of so many rows is divided: a division for each number of rows from 0 on. */
  divisions: OWN,
  quantize: OWN + 8,
  /** Calls that a panel's tiles are divided into: one, or as many as several threads share well. */
  calls: OWN + 16,
  product: OWN + 24,
} as const;
export const PRODUCT_OPERATOR_END = PRODUCT_OPERATOR.product + PRODUCT_BYTES;

/** A division of a panel: groups, their rows, bytes of their records, and the code that multiplies them, each in 64 bits. */
export const DIVISION_BYTES = 32;

/** Code of KernelCompute(operator, context): y (…, N) of x (…, K), panel after panel. */
export function productCode(functions: Functions): Uint8Array {
  const a = createAssembler();
  const { dimensions, count, begin, end, input, readDimensions, output, inParallel } = computing(
    a,
    functions,
  );
  const product = (offset: number) => at(RBX, PRODUCT_OPERATOR.product + offset);
  begin();
  input(0);
  a.mov(R13, RAX);
  readDimensions();
  // R12: rows, the product of all dimensions but the last, which becomes N.
  const [each, counted] = [a.label(), a.label()];
  a.movAddress(R12, 1n);
  a.lea(RAX, dimensions);
  a.mov(RCX, count);
  a.place(each);
  a.sub(RCX, { imm: 1 });
  a.jump(counted, IF.equal);
  a.mul(R12, at(RAX));
  a.add(RAX, { imm: 8 });
  a.jump(each);
  a.place(counted);
  a.mov(RDX, product(PRODUCT.rowBytes));
  a.shr(RDX, 2);
  a.store(at(RAX), RDX);
  output();
  a.mov(R14, RAX);

  const [panels, direct, next, done] = [a.label(), a.label(), a.label(), a.label()];
  a.place(panels);
  a.cmp(R12, { imm: 0 });
  a.jump(done, IF.atMost);
  a.store(product(PRODUCT.x), R13);
  a.store(product(PRODUCT.y), R14);
  a.movAddress(RCX, BigInt(PANEL_ROWS));
  a.cmp(RCX, R12);
  a.moveIf(IF.greater, RCX, R12);
  a.store(product(PRODUCT.rows), RCX);
  a.shl(RCX, Math.log2(DIVISION_BYTES));
  a.add(RCX, at(RBX, PRODUCT_OPERATOR.divisions));
  for (const [i, field] of [PRODUCT.groups, PRODUCT.groupRows, PRODUCT.recordsBytes].entries()) {
    a.mov(RAX, at(RCX, 8 * i));
    a.store(product(field), RAX);
  }
  a.mov(R15, at(RCX, 24));
  a.lea(RDI, product(0));
  a.mov(RAX, at(RBX, PRODUCT_OPERATOR.quantize));
  a.call(RAX);
  a.mov(RDX, at(RBX, PRODUCT_OPERATOR.calls));
  a.cmp(RDX, { imm: 1 });
  a.jump(direct, IF.equal);
  a.mov(RSI, R15);
  a.lea(R8, product(0));
  inParallel();
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
  a.place(done);
  end();
  return a.finish();
}
