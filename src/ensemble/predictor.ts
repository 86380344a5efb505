import { gateFeatures, gateShares } from "../alignment/gate.ts";
import { fuse, project, type SharedSpace, type TextKind } from "../alignment/shared-space.ts";
import { jensenShannon, logMixture, type Comparison } from "../stats/distributions.ts";
import type { Ensemble } from "./ensemble.ts";
import { followerEnds } from "./follower-ends.ts";
import {
  createFollowerVoice,
  normaliseAnchor,
  normaliseFollower,
  type FollowerVoice,
  type SpecialMass,
} from "./follower-distribution.ts";
import type { FusedWords } from "./fusion.ts";
import type { MemberPrediction, Prediction } from "./reading.ts";
import type { MemberState } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";
import { unwatched, type Stopwatch } from "./timing.ts";
import type { Continuation } from "./unfinished-token.ts";

/**
 * States of all members at some positions to next-token distributions: project, decode, fuse.
 *
 * z_m = P_mᵀ(h_m − μ_m), and E z_m + β_m, all rows in one pass over E, become p_m over the anchor's tokens (see
 * follower-distribution.ts, and unfinished-token.ts where a member's last token may go on). The answer is a mixture of
 * the p_m and of their log-linear pool, softmax(Σ w_m ln p_m), with the shares of the gate at this position (gate.ts). The
 * pool is what the fused state z = Σ_m w_m z_m decodes to where all rows are the anchor's tokens, since E is linear; it is
 * added after decoding because each member's p_m is needed too. Where a member has no state, the answer is the pool of the
 * others, their weights scaled to sum to 1. How likely the answer ends is the anchor's word, and where it has no state the
 * followers' (see follower-ends.ts).
 */
export interface Predictor {
  /** @param positions at each, the members' states in the order of `ensemble.members`, at least one of them */
  predict(positions: readonly (readonly MemberState[])[], signal?: AbortSignal): Promise<Prediction[]>;
  /** The same of one position. It is written over by the next one, and calls must not overlap. */
  next(states: readonly MemberState[], signal?: AbortSignal): Promise<Prediction>;
}

/** The parts of a prediction, each timed by its own. */
export interface PredictorWatches {
  readonly project: Stopwatch;
  readonly decode: Stopwatch;
  readonly fuse: Stopwatch;
}

const UNWATCHED: PredictorWatches = { project: unwatched, decode: unwatched, fuse: unwatched };

/** @param kind of the text that is read: it decides the gate */
export function createPredictor(ensemble: Ensemble, kind: TextKind, watches = UNWATCHED): Predictor {
  const { members, space, decoder, continuations } = ensemble;
  const special = [...members[0].tokenizer.specialTokens];
  const voices = space.members.map(({ own }) => createFollowerVoice(own, special));

  /** All in one graph; null where that cannot be: without one, or where a member has no state. */
  async function fuseTogether(
    positions: readonly (readonly MemberState[])[],
    signal?: AbortSignal,
    done?: readonly FusedWords[],
  ): Promise<FusedWords[] | null> {
    const { fusion } = ensemble;
    const whole = positions
      .map((states) => statesOfAll(states, members.length))
      .filter((states) => states !== null);
    if (!fusion || whole.length < positions.length) return null;
    const continued = await Promise.all(positions.map((states) => continuationsOf(states, continuations)));
    const asked = whole.map((states, i) => ({ kind, states, continued: continued[i] ?? [] }));
    return watches.fuse.time(() => fusion.fuse(asked, signal, done));
  }

  /** One step after the other, with whom there is. */
  async function fuseInSteps(
    positions: readonly (readonly MemberState[])[],
    signal?: AbortSignal,
  ): Promise<Prediction[]> {
    const zs = watches.project.timeNow(() =>
      positions.map((states) =>
        states.map((state, m) => ("state" in state ? project(space, m, state.state) : null)),
      ),
    );
    const present = zs.flat().filter((z) => z !== null);
    const [decodedRows, continued] = await Promise.all([
      watches.decode.time(() => decoder.decode(stack(present, space.dimension), signal)),
      Promise.all(positions.map((states) => continuationsOf(states, continuations))),
    ]);
    const decoded = rowsOf(decodedRows, present.length, decoder.vocabularySize).values();
    const biased = zs.map((states) =>
      states.map((z, m) => (z === null ? null : addBias(decoded.next().value, space, m))),
    );
    const anchorless = await Promise.all(
      biased.map(([anchor], i) =>
        anchor ? null : followerEnds(ensemble, positions[i] ?? [], special, signal),
      ),
    );
    const fuseAt = (logits: readonly (Float32Array | null)[], i: number): Prediction => {
      const { rows, ends } = speak(logits, voices, {
        vocabularySize: space.vocabularySize,
        special,
        continued: continued[i] ?? [],
        anchorless: anchorless[i] ?? null,
      });
      const own = rows.filter((row) => row !== null);
      const comparison = own.length > 1 ? jensenShannon(own) : null;
      const { logprobs, weights } = fuseRows(space, kind, rows, comparison, special, ends);
      return {
        logprobs,
        members: rows.map((row, m) =>
          memberPrediction(row, weights[m] ?? 0, positions[i]?.[m], zs[i]?.[m] ?? null),
        ),
        comparison,
      };
    };
    return watches.fuse.timeNow(() => biased.map(fuseAt));
  }

  let done: readonly FusedWords[] = [];
  return {
    async predict(positions, signal) {
      const words = await fuseTogether(positions, signal);
      return words?.map((word) => predictionOf(word, space)) ?? fuseInSteps(positions, signal);
    },
    async next(states, signal) {
      const spare = done;
      done = [];
      const words = await fuseTogether([states], signal, spare);
      done = words ?? [];
      const [prediction] =
        words?.map((word) => predictionOf(word, space)) ?? (await fuseInSteps([states], signal));
      if (prediction === undefined) throw new Error("predictor: no prediction for one position");
      return prediction;
    },
  };
}

/** All members' states (m); null where one has none. */
function statesOfAll(states: readonly MemberState[], members: number): Float32Array[] | null {
  const found = states.flatMap((state) => ("state" in state ? [state.state] : []));
  return found.length === members ? found : null;
}

function predictionOf(words: FusedWords, { members }: SharedSpace): Prediction {
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const pooled = words.shares.at(-1) ?? 0;
  return {
    logprobs: words.logprobs,
    members: words.members.map((logprobs, m): MemberPrediction => {
      const inPool = total > 0 ? (members[m]?.weight ?? 0) / total : 0;
      const weight = (words.shares[m] ?? 0) + pooled * inPool;
      return { logprobs, reason: null, weight, state: words.projected[m] ?? null };
    }),
    comparison: words.comparison,
    known: { entropy: words.entropy, tops: words.tops },
  };
}

interface Spoken {
  readonly vocabularySize: number;
  readonly special: readonly number[];
  /** How each member's last token may go on (m); null where it is over. */
  readonly continued: readonly (Continuation | null)[];
  /** The special tokens' mass where the anchor has no state. */
  readonly anchorless: SpecialMass | null;
}

/** Each member's logits by the decoder's rows (R) to log-probabilities (V), in place; null where a member has none. */
function speak(
  [own, ...others]: readonly (Float32Array | null)[],
  [, ...voices]: readonly FollowerVoice[],
  { vocabularySize, special, continued, anchorless }: Spoken,
): { rows: (Float32Array | null)[]; ends: SpecialMass } {
  const anchor = own?.subarray(0, vocabularySize) ?? null;
  const ends = anchor ? normaliseAnchor(anchor, special) : anchorless;
  if (!ends) throw new Error("predictor: no member has a state");
  const followed = others.map((row, f) =>
    row ? (voices[f]?.(row, anchor, ends, continued[f + 1] ?? null) ?? null) : null,
  );
  return { rows: [anchor, ...followed], ends };
}

/** The answer's log-probabilities (V), and each member's share in them (m): its own and, of the pool's, that of its weight. */
function fuseRows(
  space: SharedSpace,
  kind: TextKind,
  rows: readonly (Float32Array | null)[],
  comparison: Comparison | null,
  special: readonly number[],
  ends: SpecialMass,
): { logprobs: Float32Array; weights: number[] } {
  const present = rows.filter((row) => row !== null);
  const poolWeights = weightsOfPresent(
    space.members.map(({ weight }) => weight),
    rows.map((row) => row !== null),
  );
  const pool = fuse(
    poolWeights.filter((_, m) => rows[m] !== null),
    present,
  );
  normaliseFollower(pool, special, ends);
  const total = poolWeights.reduce((sum, weight) => sum + weight, 0);
  const inPool = poolWeights.map((weight) => (total > 0 ? weight / total : 0));
  if (comparison === null || present.length < rows.length) return { logprobs: pool, weights: inPool };
  const shares = gateShares(space.gates[kind], gateFeatures(comparison));
  const pooled = shares.at(-1) ?? 0;
  return {
    logprobs: logMixture(shares, [...present, pool]),
    weights: inPool.map((weight, m) => (shares[m] ?? 0) + pooled * weight),
  };
}

/** How each member's last token may go on (m); null where it is over. */
function continuationsOf(
  states: readonly MemberState[],
  continuations: Ensemble["continuations"],
): Promise<(Continuation | null)[]> {
  return Promise.all(
    states.map((state, m) => {
      const unfinished = "state" in state ? state.unfinished : null;
      return unfinished === null ? null : (continuations[m]?.after(unfinished) ?? null);
    }),
  );
}

function memberPrediction(
  logprobs: Float32Array | null,
  weight: number,
  state: MemberState | undefined,
  projected: Float32Array | null,
): MemberPrediction {
  const reason = state === undefined || "state" in state ? null : state.reason;
  return { logprobs, reason, weight, state: projected };
}

/** Weights with absent members at 0; if any is absent, the others' sum to 1. */
export function weightsOfPresent(weights: readonly number[], present: readonly boolean[]): number[] {
  if (present.every(Boolean)) return [...weights];
  const kept = weights.map((weight, m) => (present[m] ? weight : 0));
  const sum = kept.reduce((a, b) => a + b, 0);
  if (sum > 0) return kept.map((weight) => weight / sum);
  const count = present.filter(Boolean).length;
  return present.map((is) => (is ? 1 / count : 0));
}

/** The member's own biases added to its decoded row, in place. */
function addBias(row: Float32Array | undefined, { members }: SharedSpace, m: number): Float32Array {
  const bias = members[m]?.rowBias;
  if (row === undefined || bias === undefined) throw new Error(`predictor: no logits for member ${m}`);
  for (let v = 0; v < row.length; v++) row[v]! += bias[v]!;
  return row;
}

function stack(rows: readonly Float32Array[], width: number): Float32Array {
  const stacked = new Float32Array(rows.length * width);
  rows.forEach((row, i) => stacked.set(row, i * width));
  return stacked;
}
