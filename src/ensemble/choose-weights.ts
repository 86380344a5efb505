import type { MatrixProduct } from "../alignment/decoder-matrix.ts";
import { constantGate, GATE_CORNERS, gateFeatures } from "../alignment/gate.ts";
import { fitPoolWeights, type PoolPosition } from "../alignment/pool-weights.ts";
import { project, type SharedSpace, type TextKind } from "../alignment/shared-space.ts";
import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import { jensenShannon, logSumExp } from "../stats/distributions.ts";
import type { AnchorRows } from "./anchor-rows.ts";
import type { CorpusDocument } from "./corpus.ts";
import { normaliseAnchor, normaliseFollower, type SpecialMass } from "./follower-distribution.ts";
import { partialBias } from "./partial-bias.ts";
import { createStateReading, type FollowedState } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";
import { speakAsFollower } from "./predictor.ts";
import type { TokenContinuations } from "./unfinished-token.ts";

export interface ChooseOptions {
  /** A space whose weights are open, and its members' biases for partial rows. */
  readonly space: SharedSpace;
  readonly tables: readonly AnchorRows[];
  /** E (V, k). */
  readonly decoder: Float32Array;
  /** Of documents that the maps have not seen. */
  readonly positions: readonly ChosenPosition[];
  /** As an ensemble has them. */
  readonly continuations: readonly (TokenContinuations | null)[];
  /** The anchor's special tokens. */
  readonly special: readonly number[];
  readonly multiply: MatrixProduct;
  readonly progress: Progress;
}

export interface ReadOptions {
  /** The anchor first. */
  readonly members: readonly [LanguageModel, ...LanguageModel[]];
  readonly documents: readonly CorpusDocument[];
  /** Positions to keep, at most. */
  readonly most?: number | undefined;
  readonly clock: Clock;
  readonly progress: Progress;
}

/** Logits of that many positions are held for every member: 240 MB each at V = 49,152. */
const MOST_POSITIONS = 1200;

/** The space with each member's bias for partial rows, and the weights and gates of the pool that make the tokens most likely. */
export async function chooseWeights(options: ChooseOptions): Promise<SharedSpace> {
  const { space, tables, positions, special, progress } = options;
  progress.stage("choosing the weights", space.members.length, "steps");
  const tokens = positions.map((position) => position.token);
  const logits: Float32Array[][] = [];
  const tokenBiases: Float32Array[] = [];
  for (const [m, member] of space.members.entries()) {
    const states = positions.map((position) => position.states[m]?.state ?? new Float32Array(member.width));
    const rows = await decodeStates(options, m, states);
    const bias = biasOfPartialRows(rows, tokens, tables[m]?.partial ?? new Uint8Array(0));
    tokenBiases.push(member.tokenBias.map((value, token) => value + (tables[m]?.partial[token] ? bias : 0)));
    for (const row of rows) {
      for (const [token, partial] of tables[m]?.partial.entries() ?? []) if (partial) row[token]! += bias;
    }
    logits.push(rows);
    progress.update(m + 1);
  }
  for (const [i, { states }] of positions.entries()) {
    const rows = logits.map((own) => own[i] ?? new Float32Array(0));
    const [anchor, ...followers] = rows;
    if (anchor === undefined) continue;
    const ends = normaliseAnchor(anchor, special);
    for (const [f, row] of followers.entries()) {
      const unfinished = states[f + 1]?.unfinished;
      const continuation = unfinished ? await options.continuations[f + 1]?.after(unfinished) : null;
      speakAsFollower(row, continuation ?? null, special, ends);
    }
  }
  const pooled = tokens.map((token, i): PoolPosition => {
    const rows = logits.map((own) => own[i] ?? new Float32Array(0));
    return {
      token,
      logits: rows,
      features: rows.length > 1 ? gateFeatures(jensenShannon(rows)) : constantGate(1 / GATE_CORNERS),
    };
  });
  const constant = await fitPoolWeights(space.members.length, () =>
    pooled.map(({ token, logits: rows }) => ({ token, logits: rows })),
  );
  const gates = {
    text: await fitGates(pooled, kindIs(positions, "text"), constant.weights),
    chat: await fitGates(pooled, kindIs(positions, "chat"), constant.weights),
  };
  progress.finish();
  const chosen = space.members.map((member, m) =>
    Object.assign({}, member, {
      weight: constant.weights[m] ?? 0,
      gates: { text: gates.text[m] ?? [], chat: gates.chat[m] ?? [] },
      tokenBias: tokenBiases[m] ?? member.tokenBias,
    }),
  );
  return { ...space, members: chosen };
}

function kindIs(positions: readonly ChosenPosition[], kind: TextKind): (i: number) => boolean {
  return (i) => positions[i]?.kind === kind;
}

/** Fewer would fit chance. */
const FEWEST_POSITIONS = 150;

/** Each member's gate (m, 4) by the positions of one kind of text; the constant weights where there are too few. */
async function fitGates(
  positions: readonly PoolPosition[],
  belongs: (i: number) => boolean,
  constant: readonly number[],
): Promise<readonly (readonly number[])[]> {
  const own = positions.filter((_, i) => belongs(i));
  if (own.length < FEWEST_POSITIONS) return constant.map(constantGate);
  const { weights } = await fitPoolWeights(constant.length, () => own, GATE_CORNERS);
  return constant.map((_, m) => weights.slice(m * GATE_CORNERS, (m + 1) * GATE_CORNERS));
}

export interface ChosenPosition {
  readonly kind: TextKind;
  readonly states: readonly FollowedState[];
  readonly token: number;
}

/** Positions at which every member has a state, evenly over all documents. */
export async function readPositions(options: ReadOptions): Promise<ChosenPosition[]> {
  const { members, clock, progress, most = MOST_POSITIONS } = options;
  const passages = options.documents.flatMap((document) => document.passages);
  const found: ChosenPosition[] = [];
  progress.stage("reading documents held back", passages.length, "steps");
  for (const [i, passage] of passages.entries()) {
    const reading = createStateReading(members, passage, clock);
    try {
      const positions = await reading.positions();
      for (const [at, states] of positions.entries()) {
        const present = states.filter((state) => "state" in state);
        if (present.length === members.length)
          found.push({ kind: passage.kind, states: present, token: reading.prompt.scored[at] ?? 0 });
      }
    } finally {
      reading.close();
    }
    progress.update(i + 1);
  }
  progress.finish();
  return spread(found, most);
}

/** At most that many of the positions, evenly over all. */
export function spread(positions: readonly ChosenPosition[], most: number): ChosenPosition[] {
  const step = Math.max(1, positions.length / most);
  return Array.from(
    { length: Math.min(most, positions.length) },
    (_, i) => positions[Math.floor(i * step)],
  ).filter((position) => position !== undefined);
}

/** E z + β of one member's states, one row a position (V). */
async function decodeStates(
  { space, decoder, multiply }: ChooseOptions,
  m: number,
  states: readonly Float32Array[],
): Promise<Float32Array[]> {
  const width = space.members[m]?.width ?? 0;
  const stacked = new Float32Array(states.length * width);
  for (const [i, state] of states.entries()) stacked.set(state, i * width);
  const logits = await multiply(project(space, m, stacked), decoder, space.dimension);
  const rows = rowsOf(logits, states.length, space.vocabularySize);
  const bias = space.members[m]?.tokenBias ?? new Float32Array(0);
  for (const row of rows) for (let v = 0; v < row.length; v++) row[v]! += bias[v]!;
  return rows;
}

/** What to add to the logits of tokens whose rows are partial, see `partialBias`. Rows (n arrays of V logits). */
export function biasOfPartialRows(
  rows: readonly Float32Array[],
  tokens: readonly number[],
  partial: Uint8Array,
): number {
  if (!partial.includes(1)) return 0;
  const masked = (row: Float32Array, keep: number): Float32Array =>
    row.map((logit, token) => (partial[token] === keep ? logit : -Infinity));
  const logOdds = rows.map((row) => logSumExp(masked(row, 1)) - logSumExp(masked(row, 0)));
  return partialBias(logOdds, tokens.filter((token) => partial[token] === 1).length);
}

/** The members' logits at one position, `logits[m][position]`, to log-probabilities, in place. */
export function normalisePosition(
  logits: readonly Float32Array[][],
  position: number,
  special: readonly number[],
): SpecialMass {
  const [anchor, ...followers] = logits.map((rows) => rows[position]);
  if (anchor === undefined) throw new Error("the anchor has no logits here");
  const ends = normaliseAnchor(anchor, special);
  for (const row of followers) if (row) normaliseFollower(row, special, ends);
  return ends;
}
