import { fuse, project } from "../alignment/shared-space.ts";
import { logSumExp } from "../stats/distributions.ts";
import type { Ensemble } from "./ensemble.ts";
import type { MemberPrediction, Prediction } from "./reading.ts";

/** A member's final state (d,), or why there is none. */
export type MemberState = Float32Array | { readonly reason: string };

/**
 * States of all members at some positions to next-token distributions: project, fuse, decode.
 *
 * z_m = P_mᵀ(h_m − μ_m), z = Σ_m w_m z_m; logits are E z + Σ_m w_m β_m for the answer and E z_m + β_m for each
 * member, all in one pass over the decoder E. A member without a state has weight 0 and the others' weights are
 * scaled to sum to 1.
 *
 * Only the anchor knows how its answers end: the other members' end marks mean something else, or nothing. So
 * the special tokens' probabilities are the anchor's alone, and the others speak about ordinary tokens, given
 * that the answer goes on:
 *
 *   q(v) = p_anchor(v) for special v,  q(v) = (1 − Σ_s p_anchor(s)) · softmax over ordinary tokens (l)_v else.
 */
export interface Predictor {
  /** @param positions for each position, the members' states in the order of `ensemble.members`; the anchor's is never missing */
  predict(positions: readonly (readonly MemberState[])[], signal?: AbortSignal): Promise<Prediction[]>;
}

export function createPredictor(ensemble: Ensemble): Predictor {
  const { space, decoder } = ensemble;
  const special = [...ensemble.members[0].tokenizer.specialTokens];
  const configured = space.members.map((member) => member.weight);
  const biasOf = createBiasCache(space.members.map((member) => member.tokenBias));

  return {
    async predict(positions, signal) {
      const plans = positions.map((states) => {
        const zs = states.map((state, m) =>
          state instanceof Float32Array ? project(space, m, state) : null,
        );
        const weights = weightsOfPresent(
          configured,
          zs.map((z) => z !== null),
        );
        return { states, zs, weights, fused: fuse(weights, zs) };
      });
      const rows = plans.flatMap(({ fused, zs }) => [fused, ...zs.filter((z) => z !== null)]);
      const logits = await decoder.decode(stack(rows, space.dimension), signal);

      let row = 0;
      const nextRow = (weights: readonly number[]): Float32Array => {
        const values = logits.subarray(row * decoder.vocabularySize, ++row * decoder.vocabularySize);
        return addInPlace(values, biasOf(weights));
      };
      return plans.map(({ states, zs, weights }) => {
        const fused = nextRow(weights);
        const own = zs.map((z, m) => (z === null ? null : nextRow(oneHot(m, zs.length))));
        const anchor = own[0];
        if (!anchor) throw new Error("predictor: the anchor has no state");
        const ends = normaliseAnchor(anchor, special);
        normaliseFollower(fused, special, ends);
        return {
          logprobs: fused,
          members: own.map((logprobs, m): MemberPrediction => {
            if (logprobs !== null && m > 0) normaliseFollower(logprobs, special, ends);
            const state = states[m];
            const reason = state === undefined || state instanceof Float32Array ? null : state.reason;
            return { logprobs, reason, state: zs[m] ?? null };
          }),
        };
      });
    },
  };
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

interface SpecialMass {
  /** Log-probabilities of the special tokens, in their order. */
  readonly logprobs: readonly number[];
  /** Log of the mass left to ordinary tokens. */
  readonly ordinary: number;
}

/** Logits (V) to log-probabilities, in place. */
function normaliseAnchor(logits: Float32Array, special: readonly number[]): SpecialMass {
  const lse = logSumExp(logits);
  for (let v = 0; v < logits.length; v++) logits[v]! -= lse;
  const logprobs = special.map((token) => logits[token] ?? -Infinity);
  const mass = logprobs.reduce((sum, logprob) => sum + Math.exp(logprob), 0);
  return { logprobs, ordinary: Math.log(Math.max(1 - mass, Number.MIN_VALUE)) };
}

/** Logits (V) to log-probabilities with the anchor's mass on the special tokens, in place. */
function normaliseFollower(logits: Float32Array, special: readonly number[], ends: SpecialMass): void {
  for (const token of special) logits[token] = -Infinity;
  const shift = ends.ordinary - logSumExp(logits);
  for (let v = 0; v < logits.length; v++) logits[v]! += shift;
  special.forEach((token, i) => (logits[token] = ends.logprobs[i] ?? -Infinity));
}

/** Σ_m w_m β_m (V), remembered per weights: there are as many as subsets of members. */
function createBiasCache(biases: readonly Float32Array[]): (weights: readonly number[]) => Float32Array {
  const known = new Map<string, Float32Array>();
  return (weights) => {
    const key = weights.join();
    const found = known.get(key);
    if (found) return found;
    const sum = new Float32Array(biases[0]?.length ?? 0);
    biases.forEach((bias, m) => {
      const weight = weights[m] ?? 0;
      for (let v = 0; v < sum.length; v++) sum[v]! += weight * bias[v]!;
    });
    known.set(key, sum);
    return sum;
  };
}

function addInPlace(values: Float32Array, more: Float32Array): Float32Array {
  for (let v = 0; v < values.length; v++) values[v]! += more[v]!;
  return values;
}

function oneHot(at: number, length: number): number[] {
  return Array.from({ length }, (_, i) => (i === at ? 1 : 0));
}

function stack(rows: readonly Float32Array[], width: number): Float32Array {
  const stacked = new Float32Array(rows.length * width);
  rows.forEach((row, i) => stacked.set(row, i * width));
  return stacked;
}
