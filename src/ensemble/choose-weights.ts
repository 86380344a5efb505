import type { MatrixProduct } from "../alignment/decoder-matrix.ts";
import { gateFeatures, poolGate, type Gate } from "../alignment/gate.ts";
import { fitMixtureWeights } from "../alignment/mixture-weights.ts";
import { fitPoolWeights } from "../alignment/pool-weights.ts";
import {
  decoderRowCount,
  fuse,
  project,
  type SharedSpace,
  type TextKind,
} from "../alignment/shared-space.ts";
import type { Clock } from "../ports/clock.ts";
import type { LanguageModel } from "../ports/language-model.ts";
import type { Progress } from "../ports/progress.ts";
import { jensenShannon } from "../stats/distributions.ts";
import type { CorpusDocument } from "./corpus.ts";
import {
  createFollowerVoice,
  normaliseAnchor,
  normaliseFollower,
  specialMass,
} from "./follower-distribution.ts";
import { createStateReading, type FollowedState } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";
import type { TokenContinuations } from "./unfinished-token.ts";

export interface ChooseOptions {
  /** A space whose weights and gates are open. */
  readonly space: SharedSpace;
  /** E (R, k). */
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

/** Logits of that many positions are held for every member at once: 240 MB each at V = 49,152. */
const POOL_POSITIONS = 1200;
/** The most positions that a gate is fitted on. */
const MOST_POSITIONS = 4000;
/** Positions decoded at once. */
const AT_ONCE = 64;

/** The space with the weights of the pool that make the tokens most likely, and with the gates that do, given these. */
export async function chooseWeights(options: ChooseOptions): Promise<SharedSpace> {
  const { space, positions, special, progress } = options;
  progress.stage("choosing the weights", positions.length, "steps");
  const pooled = new Set(spread(positions, POOL_POSITIONS));
  const held: { token: number; kind: TextKind; logits: readonly Float32Array[] }[] = [];
  for await (const spoken of speak(options, [...pooled])) {
    held.push(spoken);
    progress.update(held.length);
  }
  const { weights } = await fitPoolWeights(space.members.length, () => held);
  const see = ({ token, kind, logits }: (typeof held)[number]): SeenPosition => ({
    kind,
    ...experts(logits, weights, token, special),
  });
  const seen = held.map(see);
  const others = positions.filter((position) => !pooled.has(position));
  for await (const spoken of speak(options, others)) {
    seen.push(see(spoken));
    progress.update(seen.length);
  }
  const gateOf = (kind: TextKind): Gate =>
    fitGate(
      space.members.length,
      seen.filter((position) => position.kind === kind),
    );
  progress.finish();
  const members = space.members.map((member, m) => Object.assign({}, member, { weight: weights[m] ?? 0 }));
  return { ...space, members, gates: { text: gateOf("text"), chat: gateOf("chat") } };
}

/** What a gate is fitted on. */
interface SeenPosition {
  readonly kind: TextKind;
  readonly features: readonly number[];
  /** What each member and the pool gave the token that came (m + 1). */
  readonly probabilities: readonly number[];
}

function experts(
  rows: readonly Float32Array[],
  weights: readonly number[],
  token: number,
  special: readonly number[],
): Omit<SeenPosition, "kind"> {
  const pool = fuse(weights, rows);
  const [anchor] = rows;
  if (anchor) normaliseFollower(pool, special, specialMass(anchor, special));
  return {
    features: rows.length > 1 ? gateFeatures(jensenShannon(rows)) : [],
    probabilities: [...rows, pool].map((row) => Math.exp(row[token] ?? -Infinity)),
  };
}

/** Fewer would fit chance. */
const FEWEST_POSITIONS = 150;

/** Left to the pool where there are too few positions, or nobody to weigh it against. */
function fitGate(members: number, positions: readonly SeenPosition[]): Gate {
  if (members < 2 || positions.length < FEWEST_POSITIONS) return poolGate(members);
  return fitMixtureWeights(
    positions.map(({ probabilities }) => probabilities),
    positions.map(({ features }) => features),
  ).weights;
}

/** Each position with every member's log-probabilities over the anchor's tokens (m arrays of V). */
async function* speak(
  options: ChooseOptions,
  positions: readonly ChosenPosition[],
): AsyncGenerator<{ token: number; kind: TextKind; logits: readonly Float32Array[] }> {
  for (let first = 0; first < positions.length; first += AT_ONCE) {
    const some = positions.slice(first, first + AT_ONCE);
    const rows = await speakAll(options, some);
    for (const [i, { token, kind }] of some.entries()) yield { token, kind, logits: rows[i] ?? [] };
  }
}

/** Every member's log-probabilities over the anchor's tokens at some positions (n, m). */
async function speakAll(
  options: ChooseOptions,
  positions: readonly ChosenPosition[],
): Promise<Float32Array[][]> {
  const { space, continuations, special } = options;
  const decoded: Float32Array[][] = [];
  for (const [m, { width }] of space.members.entries()) {
    const states = positions.map((position) => position.states[m]?.state ?? new Float32Array(width));
    decoded.push(await decodeStates(options, m, states));
  }
  const voices = space.members.map(({ own }) => createFollowerVoice(own, special));
  return Promise.all(
    positions.map(async ({ states }, i) => {
      const [own, ...others] = decoded.map((rows) => rows[i] ?? new Float32Array(0));
      const anchor = (own ?? new Float32Array(0)).subarray(0, space.vocabularySize);
      const ends = normaliseAnchor(anchor, special);
      const followers = others.map(async (row, f) => {
        const unfinished = states[f + 1]?.unfinished;
        const continuation = unfinished ? await continuations[f + 1]?.after(unfinished) : null;
        return voices[f + 1]?.(row, anchor, ends, continuation ?? null) ?? row;
      });
      return [anchor, ...(await Promise.all(followers))];
    }),
  );
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

/** E z + β of one member's states, one row a position (R). */
async function decodeStates(
  { space, decoder, multiply }: ChooseOptions,
  m: number,
  states: readonly Float32Array[],
): Promise<Float32Array[]> {
  const width = space.members[m]?.width ?? 0;
  const stacked = new Float32Array(states.length * width);
  for (const [i, state] of states.entries()) stacked.set(state, i * width);
  const logits = await multiply(project(space, m, stacked), decoder, space.dimension);
  const rows = rowsOf(logits, states.length, decoderRowCount(space));
  const bias = space.members[m]?.rowBias ?? new Float32Array(0);
  for (const row of rows) for (let r = 0; r < row.length; r++) row[r]! += bias[r]!;
  return rows;
}
