import { FUSION_PORTS } from "../../src/weights/fusion-graph.ts";
import { nativeTensor, type NativeSession, type NativeTensor } from "./native-session.ts";
import type { FusedRow, FuseRequest, FusionShape } from "./worker-messages.ts";

/** Positions that the graph takes at once: bounds its logits to some 10 MB. */
export const FUSED_AT_ONCE = 16;

const GATE_CORNERS = 4;

function floats(dims: readonly number[]): Float32Array<ArrayBuffer> {
  return new Float32Array(new ArrayBuffer(4 * dims.reduce((product, size) => product * size, 1)));
}

/** The rows of `FusedWords` at one position. */
export interface FusedRows {
  readonly logprobs: Float32Array;
  readonly members: readonly Float32Array[];
  readonly projected: readonly Float32Array[];
}

/** Numbers in the rows of one position. */
export function fusedRowsSize({ widths, vocabularySize, dimension }: FusionShape): number {
  return (widths.length + 1) * vocabularySize + widths.length * dimension;
}

/** The rows of one position in memory of `fusedRowsSize` numbers that threads share: one writes them, another reads them. */
export function fusedRowsIn(
  { widths, vocabularySize, dimension }: FusionShape,
  all: Float32Array,
): FusedRows {
  const distribution = (e: number) => all.subarray(e * vocabularySize, (e + 1) * vocabularySize);
  const afterThem = (widths.length + 1) * vocabularySize;
  return {
    logprobs: distribution(0),
    members: widths.map((_, m) => distribution(m + 1)),
    projected: widths.map((_, m) => all.subarray(afterThem + m * dimension, afterThem + (m + 1) * dimension)),
  };
}

type Position = FuseRequest["positions"][number];

/** Runs a fusion graph over positions, FUSED_AT_ONCE at most. */
export type FusionRunner = (positions: readonly Position[]) => FusedRow[];

export function createFusionRunner(session: NativeSession, shape: FusionShape): FusionRunner {
  const scratch = new Map<string, Float32Array<ArrayBuffer>>();
  /** Memory for a result, kept from run to run. */
  const scratchOf = (port: string, size: number): Float32Array<ArrayBuffer> => {
    const there = scratch.get(port);
    if (there !== undefined && there.length >= size) return there.subarray(0, size);
    const made = floats([size]);
    scratch.set(port, made);
    return made;
  };
  return (positions) => runFusion(session, shape, positions, scratchOf);
}

function runFusion(
  session: NativeSession,
  shape: FusionShape,
  positions: readonly Position[],
  scratchOf: (port: string, size: number) => Float32Array<ArrayBuffer>,
): FusedRow[] {
  const { widths, vocabularySize, dimension } = shape;
  const count = positions.length;
  const experts = widths.length + 1;
  const tensors: NativeTensor[] = [];
  const tensor = (data: NativeTensor["data"], dims: readonly number[]): NativeTensor => {
    const made = nativeTensor(data, dims);
    tensors.push(made);
    return made;
  };
  const inputs = new Map<string, NativeTensor>();
  const gather = (
    port: string,
    size: number,
    of: (position: Position) => ArrayLike<number>,
    dims: readonly number[],
  ) => {
    const data = floats([count, size]);
    for (const [p, position] of positions.entries()) data.set(of(position), p * size);
    inputs.set(port, tensor(data, [count, ...dims]));
  };
  for (const [m, width] of widths.entries()) {
    gather(FUSION_PORTS.states(m), width, ({ states }) => states[m] ?? [], [width]);
  }
  gather(FUSION_PORTS.gate, GATE_CORNERS * experts, ({ gate }) => gate, [GATE_CORNERS, experts]);
  for (let m = 1; m < widths.length; m++) {
    gather(FUSION_PORTS.ended(m), 1, ({ continued }) => [continued[m]?.ended ?? 0], [1]);
    // One at least: zeros add nothing to token 0 of the first position.
    const n = Math.max(
      1,
      positions.reduce((sum, { continued }) => sum + (continued[m]?.tokens.length ?? 0), 0),
    );
    const [place, position] = [
      new BigInt64Array(new ArrayBuffer(16 * n)),
      new BigInt64Array(new ArrayBuffer(8 * n)),
    ];
    const share = floats([n]);
    let i = 0;
    for (const [p, { continued }] of positions.entries()) {
      const { tokens = [], shares = [] } = continued[m] ?? {};
      for (const [j, token] of tokens.entries()) {
        [place[2 * i], place[2 * i + 1], position[i], share[i]] = [
          BigInt(p),
          BigInt(token),
          BigInt(p),
          shares[j]!,
        ];
        i++;
      }
    }
    inputs.set(FUSION_PORTS.nextPlace(m), tensor(place, [n, 2]));
    inputs.set(FUSION_PORTS.nextPosition(m), tensor(position, [n]));
    inputs.set(FUSION_PORTS.nextShare(m), tensor(share, [n]));
  }
  const outputs = new Map<string, NativeTensor>();
  const result = (port: string, size: number, into?: NativeTensor["data"]): Float32Array => {
    const data = into ?? scratchOf(port, count * size);
    outputs.set(port, tensor(data, [count, size]));
    return data as Float32Array;
  };
  // Those of one position are written where they are wanted.
  const rows = positions.map(({ into }) => fusedRowsIn(shape, into));
  const [only] = count === 1 ? rows : [];
  const logprobs = result(FUSION_PORTS.logprobs, vocabularySize, only?.logprobs);
  const members = widths.map((_, m) =>
    result(FUSION_PORTS.memberLogprobs(m), vocabularySize, only?.members[m]),
  );
  const projected = widths.map((_, m) => result(FUSION_PORTS.projected(m), dimension, only?.projected[m]));
  const divergence = result(FUSION_PORTS.divergence, 1);
  const entropies = result(FUSION_PORTS.entropies, experts);
  const shares = result(FUSION_PORTS.shares, experts);
  const tops = new BigInt64Array(new ArrayBuffer(8 * count * experts));
  outputs.set(FUSION_PORTS.tops, tensor(tops, [count, experts]));
  try {
    session.run(inputs, outputs);
  } finally {
    for (const made of tensors) made.release();
  }
  return rows.map((into, p): FusedRow => {
    const row = (data: Float32Array, size: number) => data.subarray(p * size, (p + 1) * size);
    if (into !== only) {
      into.logprobs.set(row(logprobs, vocabularySize));
      for (const [m, data] of members.entries()) into.members[m]?.set(row(data, vocabularySize));
      for (const [m, data] of projected.entries()) into.projected[m]?.set(row(data, dimension));
    }
    return {
      divergence: divergence[p] ?? 0,
      entropies: Array.from(row(entropies, experts)),
      shares: Array.from(row(shares, experts)),
      tops: Array.from(tops.subarray(p * experts, (p + 1) * experts), Number),
    };
  });
}
