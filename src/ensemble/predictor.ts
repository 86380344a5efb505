import { gateFeatures, gateWeight } from "../alignment/gate.ts";
import { fuse, project, type SharedSpace, type TextKind } from "../alignment/shared-space.ts";
import { jensenShannon, type Comparison } from "../stats/distributions.ts";
import type { Ensemble } from "./ensemble.ts";
import { followerEnds } from "./follower-ends.ts";
import { normaliseAnchor, normaliseFollower, type SpecialMass } from "./follower-distribution.ts";
import type { MemberPrediction, Prediction } from "./reading.ts";
import type { MemberState } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";
import { continueToken, type Continuation } from "./unfinished-token.ts";

/**
 * States of all members at some positions to next-token distributions: project, decode, fuse.
 *
 * z_m = P_mᵀ(h_m − μ_m), and p_m is the softmax of E z_m + β_m: all rows in one pass over E. Where a member's last token
 * may go on, p_m becomes q_m (see unfinished-token.ts). The weights w_m are those of the gate at this position, and the
 * answer is the softmax of Σ_m w_m ln p_m: what E decodes from the fused state z = Σ_m w_m z_m, since E is linear; it is
 * added after decoding because the weights depend on the p_m. A member without a state has weight 0, and the others'
 * mean weights are then scaled to sum to 1. How likely the answer ends is the anchor's word, and where it has no state
 * the followers' (see follower-ends.ts).
 */
export interface Predictor {
  /** @param positions at each, the members' states in the order of `ensemble.members`, at least one of them */
  predict(positions: readonly (readonly MemberState[])[], signal?: AbortSignal): Promise<Prediction[]>;
}

/** @param kind of the text that is read: it decides the gate */
export function createPredictor(ensemble: Ensemble, kind: TextKind): Predictor {
  const { members, space, decoder, continuations } = ensemble;
  const special = [...members[0].tokenizer.specialTokens];
  return {
    async predict(positions, signal) {
      const zs = positions.map((states) =>
        states.map((state, m) => ("state" in state ? project(space, m, state.state) : null)),
      );
      const present = zs.flat().filter((z) => z !== null);
      const [logits, continued] = await Promise.all([
        decoder.decode(stack(present, space.dimension), signal),
        Promise.all(positions.map((states) => continuationsOf(states, continuations))),
      ]);
      const decoded = rowsOf(logits, present.length, decoder.vocabularySize).values();
      const biased = zs.map((states) =>
        states.map((z, m) => (z === null ? null : addBias(decoded.next().value, space, m))),
      );
      const anchorless = await Promise.all(
        biased.map(([anchor], i) =>
          anchor ? null : followerEnds(ensemble, positions[i] ?? [], special, signal),
        ),
      );
      return biased.map((rows, i): Prediction => {
        const ends = normaliseMembers(rows, continued[i] ?? [], special, anchorless[i] ?? null);
        const own = rows.filter((row) => row !== null);
        const comparison = own.length > 1 ? jensenShannon(own) : null;
        const weights = weightsAt(space, rows, comparison, kind);
        const logprobs = fuse(
          weights,
          rows.map((row) => row ?? own[0] ?? new Float32Array(0)),
        );
        normaliseFollower(logprobs, special, ends);
        return {
          logprobs,
          members: rows.map((row, m) =>
            memberPrediction(row, weights[m] ?? 0, positions[i]?.[m], zs[i]?.[m] ?? null),
          ),
          comparison,
        };
      });
    },
  };
}

/**
 * Each member's logits (V) to log-probabilities, in place; null where a member has none.
 * @param anchorless the special tokens' mass where the anchor has no state
 */
function normaliseMembers(
  rows: readonly (Float32Array | null)[],
  continued: readonly (Continuation | null)[],
  special: readonly number[],
  anchorless: SpecialMass | null,
): SpecialMass {
  const [anchor, ...followers] = rows;
  const ends = anchor ? normaliseAnchor(anchor, special) : anchorless;
  if (!ends) throw new Error("predictor: no member has a state");
  for (const [f, row] of followers.entries()) {
    if (row) speakAsFollower(row, continued[f + 1] ?? null, special, ends);
  }
  return ends;
}

/** A follower's logits (V) over the anchor's tokens to log-probabilities, in place, its unfinished token taken into account. */
export function speakAsFollower(
  row: Float32Array,
  continuation: Continuation | null,
  special: readonly number[],
  ends: SpecialMass,
): void {
  normaliseFollower(row, special, ends);
  if (continuation) continueToken(row, continuation, ends.ordinary, special);
}

/** w (m) at a position: by the gate where all members are there. */
function weightsAt(
  { members }: SharedSpace,
  rows: readonly (Float32Array | null)[],
  comparison: Comparison | null,
  kind: TextKind,
): number[] {
  if (comparison === null || rows.includes(null)) {
    return weightsOfPresent(
      members.map(({ weight }) => weight),
      rows.map((row) => row !== null),
    );
  }
  const features = gateFeatures(comparison);
  return members.map(({ gates }) => gateWeight(gates[kind], features));
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
  const bias = members[m]?.tokenBias;
  if (row === undefined || bias === undefined) throw new Error(`predictor: no logits for member ${m}`);
  for (let v = 0; v < row.length; v++) row[v]! += bias[v]!;
  return row;
}

function stack(rows: readonly Float32Array[], width: number): Float32Array {
  const stacked = new Float32Array(rows.length * width);
  rows.forEach((row, i) => stacked.set(row, i * width));
  return stacked;
}
