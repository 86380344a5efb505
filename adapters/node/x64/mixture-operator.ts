import { at, createAssembler, R12, R13, RAX, RBX } from "./assembler.ts";
import { MIXTURE, MIXTURE_BYTES } from "./mixture-kernels.ts";
import { computing, OWN, type Functions } from "./operator.ts";

/** A mixture as an operator: where what lies in it. */
export const MIXTURE_OPERATOR = { threads: OWN, mix: OWN + 8, mixture: OWN + 16 } as const;
export const MIXTURE_OPERATOR_END = MIXTURE_OPERATOR.mixture + MIXTURE_BYTES;

/**
 * Code of KernelCompute(operator, context). Inputs: each member's log-probabilities (p, V), then the gate; outputs: the
 * answer's, J (p, 1), and the entropies, the shares and the tops (p, m + 1).
 */
export function mixtureOperatorCode(members: number, functions: Functions): Uint8Array {
  const a = createAssembler();
  const { dimensions, begin, end, input, readDimensions, output, each } = computing(a, functions);
  const mixture = (offset: number) => at(RBX, MIXTURE_OPERATOR.mixture + offset);
  begin();
  for (let member = 0; member < members; member++) {
    input(member);
    a.store(mixture(MIXTURE.words + 8 * member), RAX);
  }
  readDimensions();
  a.mov(R12, dimensions);
  input(members);
  a.store(mixture(MIXTURE.gate), RAX);
  const outputs = [
    [MIXTURE.logprobs, null],
    [MIXTURE.divergence, 1],
    [MIXTURE.entropies, members + 1],
    [MIXTURE.shares, members + 1],
    [MIXTURE.tops, members + 1],
  ] as const;
  for (const [index, [field, width]] of outputs.entries()) {
    if (width !== null) {
      a.movAddress(RAX, BigInt(width));
      a.store(at(dimensions.base, dimensions.offset + 8), RAX);
    }
    output(index);
    a.store(mixture(field), RAX);
  }
  a.mov(R13, at(RBX, MIXTURE_OPERATOR.mix));
  each(at(RBX, MIXTURE_OPERATOR.threads), mixture(0));
  end();
  return a.finish();
}
