import { asBytes, createExternalData, type ByteSink, type ExternalData } from "./external-data.ts";
import { createOnnxGraph, type OnnxGraph } from "./onnx-graph.ts";
import { linear, storeQuantized } from "./quantized-matrix.ts";

/*
 * The members' final states to the answer's distribution in one graph: what predictor.ts says of it in JavaScript, and in
 * the same order. A member's projection and the decoder are one matrix here, D_m = E P_mᵀ (R_m, d_m) over the anchor's
 * tokens and the member's own: with the dimensions of all members kept it is smaller than E, and every member reads its own.
 * Distributions are kept as log-probabilities; where a sum of probabilities is below float32's least, its logarithm is the
 * least one's, −87 nats.
 */

/** Names of the graph's inputs and outputs, for p positions, m members, V tokens. */
export const FUSION_PORTS = {
  /** Member m's final states (p, d_m). */
  states: (member: number) => `states.${member}`,
  /** The gate's shares at its corners (p, 4, m + 1), by the kind of text. */
  gate: "gate",
  /** Of follower f: what a token that is over keeps, nats (p, 1). */
  ended: (member: number) => `ended.${member}`,
  /** How unfinished tokens go on: position and token (n, 2), the position again (n), and the share (n). At least one. */
  nextPlace: (member: number) => `next.place.${member}`,
  nextPosition: (member: number) => `next.position.${member}`,
  nextShare: (member: number) => `next.share.${member}`,
  /** Log-probabilities of the answer and of member m (p, V). */
  logprobs: "logprobs",
  memberLogprobs: (member: number) => `logprobs.${member}`,
  /** z_m (p, k). */
  projected: (member: number) => `projected.${member}`,
  /** Jensen–Shannon, nats (p, 1). */
  divergence: "divergence",
  /** Of each member and, last, the answer, nats (p, m + 1). */
  entropies: "entropies",
  /** π (p, m + 1). */
  shares: "shares",
  /** The most likely token of each member and, last, of the answer (p, m + 1). */
  tops: "tops",
} as const;

/** A follower's tokens beside the anchor's: see `OwnTokens` of the shared space. */
export interface FusionTokens {
  /** The anchor's token with which each row after the first V begins, ascending. */
  readonly begins: Int32Array;
  /** For each of the anchor's tokens the one whose row speaks for it too, or −1 (V). */
  readonly hosts: Int32Array;
}

export interface FusionMember {
  readonly width: number;
  /** P (d, k). */
  readonly projection: Float32Array;
  /** (k). */
  readonly offset: Float32Array;
  /** About the mean of its states (d). */
  readonly mean: Float32Array;
  /** w. */
  readonly weight: number;
  /** D_m (R_m, d), row-major, and what is added to its logits (R_m). */
  readonly matrix: Float32Array;
  readonly bias: Float32Array;
  /** Null for the anchor. */
  readonly tokens: FusionTokens | null;
}

export interface FusionRecipe {
  readonly vocabularySize: number;
  /** k. */
  readonly dimension: number;
  /** The anchor's special tokens. */
  readonly special: readonly number[];
  /** The anchor first; two or more. */
  readonly members: readonly FusionMember[];
}

/**
 * What the members' distributions become the answer's by, in one node: an operator that onnxruntime has not. Inputs: each
 * member's log-probabilities, the gate's shares, then the weights and the special tokens, which are constant. Outputs: the
 * answer's log-probabilities, divergence, entropies, shares and tops.
 */
export const MIXTURE_NODE = "Mixture";
/** It takes so many members at most, and a vocabulary of a multiple of so many tokens. */
export const MIXTURE_LIMITS = { members: 4, tokens: 16 } as const;

/** A logit that is no probability; finite, so that nothing becomes a NaN. */
const NEVER = -1e30;
/** Below every log-probability that counts: keeps 0 · ln 0 at 0. */
const FLOOR = -1e4;
/** About the least normal float32. */
const TINY = 1.2e-38;

/**
 * Writes the graph; its large constants go to `sink`.
 * @param mixes whether it may have a `MIXTURE_NODE` @throws RangeError when a width is no multiple of 32
 */
export async function buildFusion(
  recipe: FusionRecipe,
  location: string,
  sink: ByteSink,
  mixes: boolean,
): Promise<Uint8Array<ArrayBuffer>> {
  const graph = createOnnxGraph("fusion");
  const data = createExternalData(location, sink);
  const math = mathOf(graph);
  const { vocabularySize: size, dimension, special, members } = recipe;
  const count = members.length;
  const isSpecial = await specialMask(graph, data, math, size, special);

  const rows: string[] = [];
  for (const [m, member] of members.entries()) {
    const states = graph.input(FUSION_PORTS.states(m), "float32", ["p", member.width]);
    const bias = await constant(graph, data, `bias.${m}`, [member.bias.length], member.bias);
    const matrix = await storeQuantized(data, member.bias.length, member.width, [member.matrix]);
    const mean = graph.constant(`mean.${m}`, "float32", [member.width], member.mean);
    rows.push(math.add(linear(graph, `decoder.${m}`, matrix, math.subtract(states, mean)), bias));
    const projection = await constant(graph, data, `P.${m}`, [member.width, dimension], member.projection);
    const offset = await constant(graph, data, `offset.${m}`, [dimension], member.offset);
    graph.node("Add", [graph.node("MatMul", [states, projection]), offset], {
      outputs: [FUSION_PORTS.projected(m)],
    });
    graph.output(FUSION_PORTS.projected(m), "float32", ["p", dimension]);
  }
  const positions = graph.node("Shape", [rows[0]!], { attributes: { start: { int: 0 }, end: { int: 1 } } });
  const ofMember = (m: number) => ({ outputs: [FUSION_PORTS.memberLogprobs(m)] });
  const anchor = graph.node("LogSoftmax", [rows[0]!], { attributes: { axis: { int: -1 } }, ...ofMember(0) });
  const ends = math.gather(anchor, math.ints("special", special));
  const ordinary = math.log(math.subtract(math.number(1), math.sum(math.exp(ends))));
  /** The special tokens the anchor's, the others what it leaves of the mass. */
  const normalised = (logits: string): string => {
    const without = graph.node("Where", [isSpecial, math.number(NEVER), logits]);
    return math.add(graph.node("LogSoftmax", [without], { attributes: { axis: { int: -1 } } }), ordinary);
  };
  const words: [string, ...string[]] = [anchor];
  for (const [m, { tokens }] of members.entries()) {
    if (tokens === null) continue;
    const spoken = follow({ graph, math, data, positions, anchor, size }, m, rows[m]!, tokens);
    const said = continued(graph, math, m, normalised(await spoken), ordinary);
    words.push(graph.node("Where", [isSpecial, anchor, said], ofMember(m)));
  }

  const gate = graph.input(FUSION_PORTS.gate, "float32", ["p", 4, count + 1]);
  const { divergence, entropies, shares, logprobs, tops } = FUSION_PORTS;
  if (mixes && count <= MIXTURE_LIMITS.members && size % MIXTURE_LIMITS.tokens === 0) {
    const weights = graph.constant(
      "weights",
      "float32",
      [count],
      members.map(({ weight }) => weight),
    );
    graph.node(MIXTURE_NODE, [...words, gate, weights, math.ints("special", special)], {
      attributes: { size: { int: size } },
      outputs: [logprobs, divergence, entropies, shares, tops],
    });
  } else {
    const weights = members.map(({ weight }) => weight);
    mix({ graph, math, gate, isSpecial, normalised }, words, weights);
  }
  for (const port of [logprobs, ...words.map((_, m) => FUSION_PORTS.memberLogprobs(m))]) {
    graph.output(port, "float32", ["p", size]);
  }
  graph.output(divergence, "float32", ["p", 1]);
  graph.output(entropies, "float32", ["p", count + 1]);
  graph.output(shares, "float32", ["p", count + 1]);
  graph.output(tops, "int64", ["p", count + 1]);
  return graph.encode();
}

interface Mixing {
  readonly graph: OnnxGraph;
  readonly math: GraphMath;
  readonly gate: string;
  readonly isSpecial: string;
  /** Logits to log-probabilities of the ordinary tokens. */
  readonly normalised: (logits: string) => string;
}

/** The members' log-probabilities, the anchor's first, to the answer's, in onnxruntime's operators. */
function mix(
  { graph, math, gate, isSpecial, normalised }: Mixing,
  words: readonly [string, ...string[]],
  weights: readonly number[],
): void {
  const [anchor] = words;
  const count = words.length;
  const floored = words.map((word) => math.atLeast(word, FLOOR));
  const probabilities = words.map((word) => math.exp(word));
  const entropies = floored.map((word, m) =>
    graph.node("Neg", [math.sum(math.multiply(word, probabilities[m]!))]),
  );
  const mean = math.multiply(probabilities.reduce(math.add), math.number(1 / count));
  const average = math.multiply(entropies.reduce(math.add), math.number(1 / count));
  const apart = math.subtract(math.entropy(mean), average);
  const divergence = graph.node("Clip", [apart, math.number(0), math.number(Math.log(count))], {
    outputs: [FUSION_PORTS.divergence],
  });
  const shares = gateShares(graph, math, gate, divergence, entropies);
  const weighed = floored.map((word, m) => math.multiply(word, math.number(weights[m]!)));
  const pool = graph.node("Where", [isSpecial, anchor, normalised(weighed.reduce(math.add))]);
  const parts = [...probabilities, math.exp(pool)].map((part, e) =>
    math.multiply(part, math.column(shares, e)),
  );
  const mixed = parts.reduce(math.add);
  graph.node("Log", [mixed], { outputs: [FUSION_PORTS.logprobs] });
  math.concat([...entropies, math.entropy(mixed)], FUSION_PORTS.entropies);
  math.concat(
    [...words, mixed].map((row) => graph.node("ArgMax", [row], { attributes: { axis: { int: 1 } } })),
    FUSION_PORTS.tops,
  );
}

interface Following {
  readonly graph: OnnxGraph;
  readonly math: GraphMath;
  readonly data: ExternalData;
  /** p (1). */
  readonly positions: string;
  readonly anchor: string;
  readonly size: number;
}

/** A follower's logits by its rows (p, R_m) to logits over the anchor's tokens (p, V): see follower-distribution.ts. */
async function follow(
  { graph, math, data, positions, anchor, size }: Following,
  m: number,
  rows: string,
  { begins, hosts }: FusionTokens,
): Promise<string> {
  const indices = async (name: string, values: ArrayLike<number>): Promise<string> => {
    const ids = BigInt64Array.from(Array.from(values), BigInt);
    return graph.external(`${name}.${m}`, await data.store("int64", [ids.length], [asBytes(ids)]));
  };
  /** The same indices for every position (p, n). */
  const forAll = (ids: string, count: number): string => {
    const shape = math.concat([positions, math.ints(`count.${count}`, [count])], undefined, 0);
    return graph.node("Expand", [ids, shape]);
  };
  const sums = async (name: string, of: string, into: ArrayLike<number>, count: number): Promise<string> => {
    const shape = math.concat([positions, math.ints(`count.${count}`, [count])], undefined, 0);
    const zeros = graph.node("Expand", [math.number(0), shape]);
    const ids = forAll(await indices(name, into), into.length);
    return graph.node("ScatterElements", [zeros, ids, of], {
      attributes: { axis: { int: 1 }, reduction: { text: "add" } },
    });
  };
  const put = (target: string, ids: string, count: number, values: string): string =>
    graph.node("ScatterElements", [target, forAll(ids, count), values], { attributes: { axis: { int: 1 } } });

  let logits = rows;
  if (begins.length > 0) {
    const [own, more] = [`own.${m}`, `more.${m}`];
    graph.node("Split", [rows, math.ints(`split.${m}`, [size, begins.length])], {
      attributes: { axis: { int: 1 } },
      outputs: [own, more],
    });
    const begun = [...new Set(begins)];
    const place = new Map(begun.map((token, i) => [token, i]));
    const tokens = await indices("begun", begun);
    const largest = graph.node("ReduceMax", [rows, math.ints("axis.1", [1])], {
      attributes: { keepdims: { int: 1 } },
    });
    const before = math.gather(own, tokens);
    const into = Array.from(begins, (token) => place.get(token) ?? 0);
    const added = await sums("begins", math.exp(math.subtract(more, largest)), into, begun.length);
    const sum = math.add(added, math.exp(math.subtract(before, largest)));
    const tiny = graph.node("Less", [sum, math.number(TINY)]);
    const joined = graph.node("Where", [tiny, before, math.add(math.log(sum), largest)]);
    logits = put(own, tokens, begun.length, joined);
  }
  const hosted = Array.from(hosts.entries()).filter(([, host]) => host >= 0);
  if (hosted.length === 0) return logits;
  const leaders = [...new Set(hosted.map(([, host]) => host))];
  const place = new Map(leaders.map((host, i) => [host, i]));
  const group = [...leaders.map((host) => [host, host] as const), ...hosted];
  const tokens = await indices(
    "grouped",
    group.map(([token]) => token),
  );
  const by = group.map(([, host]) => place.get(host) ?? 0);
  const said = math.gather(anchor, tokens);
  const together = math.log(await sums("groups", math.exp(said), by, leaders.length));
  const divided = math.subtract(said, math.gather(together, await indices("group", by)));
  const host = math.gather(
    logits,
    await indices(
      "host",
      group.map(([, leader]) => leader),
    ),
  );
  return put(logits, tokens, group.length, math.add(host, divided));
}

/** What a follower says where its last token may go on: see unfinished-token.ts. */
function continued(graph: OnnxGraph, math: GraphMath, m: number, logprobs: string, ordinary: string): string {
  const ended = graph.input(FUSION_PORTS.ended(m), "float32", ["p", 1]);
  const place = graph.input(FUSION_PORTS.nextPlace(m), "int64", [`n.${m}`, 2]);
  const position = graph.input(FUSION_PORTS.nextPosition(m), "int64", [`n.${m}`]);
  const share = graph.input(FUSION_PORTS.nextShare(m), "float32", [`n.${m}`]);
  const over = math.add(logprobs, ended);
  const flat = graph.node("Reshape", [ordinary, math.ints("flat", [-1])]);
  const mass = math.exp(graph.node("Gather", [flat, position]));
  const before = math.exp(graph.node("GatherND", [over, place]));
  const after = math.log(math.add(before, math.multiply(mass, share)));
  return graph.node("ScatterND", [over, place, after]);
}

/** π (p, m + 1) from how far the members are apart and who is surer: see gate.ts. */
function gateShares(
  graph: OnnxGraph,
  math: GraphMath,
  gate: string,
  divergence: string,
  entropies: readonly string[],
): string {
  const [anchor = "", ...others] = entropies;
  const count = entropies.length;
  const one = math.number(1);
  const j = math.multiply(divergence, math.number(1 / Math.log(count)));
  const mean = math.multiply(others.reduce(math.add), math.number(1 / others.length));
  const both = math.add(anchor, mean);
  const none = graph.node("Less", [both, math.number(TINY)]);
  const a = graph.node("Where", [none, math.number(0.5), graph.node("Div", [anchor, both])]);
  const [near, sure] = [math.subtract(one, j), math.subtract(one, a)];
  const corners = math.concat(
    [
      [near, sure],
      [near, a],
      [j, sure],
      [j, a],
    ].map(([x, y]) => math.multiply(x!, y!)),
  );
  const row = graph.node("Unsqueeze", [corners, math.ints("axis.1", [1])]);
  return graph.node("Squeeze", [graph.node("MatMul", [row, gate]), math.ints("axis.1", [1])], {
    outputs: [FUSION_PORTS.shares],
  });
}

async function specialMask(
  graph: OnnxGraph,
  data: ExternalData,
  math: GraphMath,
  size: number,
  special: readonly number[],
): Promise<string> {
  const mask = new Float32Array(size);
  for (const token of special) mask[token] = 1;
  const stored = await constant(graph, data, "special.mask", [1, size], mask);
  return graph.node("Greater", [stored, math.number(0.5)]);
}

async function constant(
  graph: OnnxGraph,
  data: ExternalData,
  name: string,
  dims: readonly number[],
  values: Float32Array,
): Promise<string> {
  return graph.external(name, await data.store("float32", dims, [asBytes(values)]));
}

type GraphMath = ReturnType<typeof mathOf>;

/** Arithmetic on values of the graph; rows are along axis 1. */
function mathOf(graph: OnnxGraph) {
  const constants = new Set<string>();
  function once(name: string, make: () => void): string {
    if (!constants.has(name)) make();
    constants.add(name);
    return name;
  }
  const number = (value: number): string =>
    once(`number.${value}`, () => graph.constant(`number.${value}`, "float32", [], [value]));
  const ints = (name: string, values: readonly number[]): string =>
    once(name, () => graph.constant(name, "int64", [values.length], values));
  const exp = (x: string): string => graph.node("Exp", [x]);
  const multiply = (x: string, y: string): string => graph.node("Mul", [x, y]);
  const atLeast = (x: string, least: number): string => graph.node("Max", [x, number(least)]);
  const log = (x: string): string => graph.node("Log", [atLeast(x, TINY)]);
  const sum = (x: string): string =>
    graph.node("ReduceSum", [x, ints("axis.1", [1])], { attributes: { keepdims: { int: 1 } } });
  return {
    number,
    ints,
    exp,
    log,
    sum,
    multiply,
    atLeast,
    add: (x: string, y: string): string => graph.node("Add", [x, y]),
    subtract: (x: string, y: string): string => graph.node("Sub", [x, y]),
    gather: (x: string, ids: string): string =>
      graph.node("Gather", [x, ids], { attributes: { axis: { int: 1 } } }),
    /** Column i of x (p, n), as (p, 1). */
    column: (x: string, i: number): string =>
      graph.node("Gather", [x, ints(`column.${i}`, [i])], { attributes: { axis: { int: 1 } } }),
    concat: (parts: readonly string[], output?: string, axis = 1): string =>
      graph.node("Concat", parts, {
        attributes: { axis: { int: axis } },
        ...(output !== undefined && { outputs: [output] }),
      }),
    /** −Σ p ln p of probabilities (p, V). */
    entropy: (p: string): string => graph.node("Neg", [sum(multiply(p, log(p)))]),
  };
}
