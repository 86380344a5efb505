import { fuse, fusedTokenBias, project, type SharedSpace } from "../alignment/shared-space.ts";
import type { Ensemble } from "./ensemble.ts";
import { normaliseAnchor, normaliseFollower } from "./follower-distribution.ts";
import type { MemberPrediction, Prediction } from "./reading.ts";
import type { MemberState } from "./state-reading.ts";
import { rowsOf } from "./token-reader.ts";
import { continueToken, type Continuation } from "./unfinished-token.ts";

/**
 * States of all members at some positions to next-token distributions: project, fuse, decode.
 *
 * z_m = P_mᵀ(h_m − μ_m) and z = Σ_m w_m z_m; logits are E z + Σ_m w_m β_m for the answer and E z_m + β_m for each
 * member, all rows in one pass over E. A member without a state has weight 0, and the others' weights are then
 * scaled to sum to 1. Where a member's last token may go on, its p becomes q (see unfinished-token.ts), and the fused
 * logit of each token with which it may gains w_m ln (q / p).
 */
export interface Predictor {
  /** @param positions at each, the members' states in the order of `ensemble.members`; the anchor's is never missing */
  predict(positions: readonly (readonly MemberState[])[], signal?: AbortSignal): Promise<Prediction[]>;
}

export function createPredictor({ members, space, decoder, continuations }: Ensemble): Predictor {
  const special = [...members[0].tokenizer.specialTokens];
  const configured = space.members.map((member) => member.weight);
  const biasOf = createBiasCache(space);

  return {
    async predict(positions, signal) {
      const plans = positions.map((states) => planPosition(states, space, configured));
      const rows = plans.flatMap((plan) => plan.rows);
      const [logits, continued] = await Promise.all([
        decoder.decode(
          stack(
            rows.map((row) => row.z),
            space.dimension,
          ),
          signal,
        ),
        Promise.all(positions.map((states) => continuationsOf(states, continuations))),
      ]);
      const decoded = rowsOf(logits, rows.length, decoder.vocabularySize);
      for (const [i, row] of rows.entries()) addInPlace(decoded[i], biasOf(row.weights));

      let next = 0;
      return plans.map(({ states, zs, rows: [{ weights }] }, i): Prediction => {
        const [fused, ...own] = decoded.slice(next, (next += 1 + zs.filter((z) => z !== null).length));
        const present = own.values();
        const logprobs = zs.map((z) => (z === null ? null : (present.next().value ?? null)));
        const [anchor, ...followers] = logprobs;
        if (!fused || !anchor) throw new Error("predictor: the anchor has no state");
        const ends = normaliseAnchor(anchor, special);
        for (const [f, row] of followers.entries()) {
          if (!row) continue;
          normaliseFollower(row, special, ends);
          const continuation = continued[i]?.[f + 1];
          if (!continuation) continue;
          const gains = continueToken(row, continuation, ends.ordinary, special);
          for (const [token, gain] of gains) fused[token]! += (weights[f + 1] ?? 0) * gain;
        }
        normaliseFollower(fused, special, ends);
        return {
          logprobs: fused,
          members: logprobs.map((row, m) => memberPrediction(row, states[m], zs[m])),
        };
      });
    },
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

interface DecodedRow {
  readonly z: Float32Array;
  /** Whose token biases belong to it. */
  readonly weights: readonly number[];
}

interface PositionPlan {
  readonly states: readonly MemberState[];
  /** Projected states; null where a member has none. */
  readonly zs: readonly (Float32Array | null)[];
  /** The fused state, then each member's that is there. */
  readonly rows: readonly [fused: DecodedRow, ...members: DecodedRow[]];
}

function planPosition(
  states: readonly MemberState[],
  space: SharedSpace,
  configured: readonly number[],
): PositionPlan {
  const zs = states.map((state, m) => ("state" in state ? project(space, m, state.state) : null));
  const weights = weightsOfPresent(
    configured,
    zs.map((z) => z !== null),
  );
  const absent = new Float32Array(space.dimension);
  const fused = fuse(
    weights,
    zs.map((z) => z ?? absent),
  );
  const own = zs.flatMap((z, m) => (z === null ? [] : [{ z, weights: oneHot(m, zs.length) }]));
  return { states, zs, rows: [{ z: fused, weights }, ...own] };
}

function memberPrediction(
  logprobs: Float32Array | null,
  state: MemberState | undefined,
  projected: Float32Array | null | undefined,
): MemberPrediction {
  const reason = state === undefined || "state" in state ? null : state.reason;
  return { logprobs, reason, state: projected ?? null };
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

/** Σ_m w_m β_m (V), remembered by weights: there are as many as there are sets of members that answer. */
function createBiasCache(space: SharedSpace): (weights: readonly number[]) => Float32Array {
  const known = new Map<string, Float32Array>();
  return (weights) => {
    const key = weights.join();
    const bias = known.get(key) ?? fusedTokenBias(space, weights);
    known.set(key, bias);
    return bias;
  };
}

function addInPlace(values: Float32Array | undefined, more: Float32Array): void {
  if (values === undefined) return;
  for (let v = 0; v < values.length; v++) values[v]! += more[v]!;
}

function oneHot(at: number, length: number): number[] {
  return Array.from({ length }, (_, i) => (i === at ? 1 : 0));
}

function stack(rows: readonly Float32Array[], width: number): Float32Array {
  const stacked = new Float32Array(rows.length * width);
  rows.forEach((row, i) => stacked.set(row, i * width));
  return stacked;
}
