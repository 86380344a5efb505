import type { Agreement, AnswerReport, MemberLoss, MemberReport } from "../ports/engine.ts";
import { argMax, entropy, jensenShannon } from "../stats/distributions.ts";
import type { Prediction } from "./reading.ts";

/** Adds up, position by position, how well the text was predicted and how far the members agreed. */
export interface Tally {
  /** One text token that came true under `prediction`; `bytes` is its length in UTF-8. */
  observe(prediction: Prediction, token: number, bytes: number): PositionSignals;
  /** @param losses each member's, where it was lost */
  report(
    requestId: string,
    latenciesMs: readonly number[],
    losses?: readonly (MemberLoss | null)[],
  ): TalliedReport;
}

/** How sure the answer was of one token, and how far the members agreed there. */
export interface PositionSignals {
  /** ln p of the token that came, nats. */
  readonly logprob: number;
  /** Of the answering distribution, nats. */
  readonly entropy: number;
  /** Null where fewer than two members were there to compare. */
  readonly disagreement: {
    /** Jensen–Shannon, nats. */
    readonly divergence: number;
    /** 1 where all have the same most likely token, 0 where not. */
    readonly sameTop: number;
    /** Mean pairwise cosine distance of the projected states, in [0, 2]. */
    readonly distance: number;
  } | null;
}

/** A report but for who answered. */
export type TalliedReport = Omit<AnswerReport, "answeredBy" | "notFused">;

export interface TalliedMember {
  readonly id: string;
  /** Told where there were no positions. */
  readonly weight: number;
}

interface MemberSums {
  positions: number;
  nats: number;
  bytes: number;
  entropy: number;
  weight: number;
  sameTop: number;
  abstentions: number;
  reason: string;
}

export function createTally(members: readonly TalliedMember[]): Tally {
  const answering = emptySums();
  const sums = members.map(emptySums);
  const compared = { positions: 0, divergence: 0, sameTop: 0, distance: 0 };

  return {
    observe(prediction, token, bytes) {
      const top = argMax(prediction.logprobs);
      add(answering, prediction.logprobs, token, bytes);
      const logprob = prediction.logprobs[token] ?? -Infinity;
      const own = { logprob, entropy: entropy(prediction.logprobs) };
      answering.entropy += own.entropy;
      const present: Present[] = [];
      for (const [m, { logprobs, reason, weight, state }] of prediction.members.entries()) {
        const sum = sums[m];
        if (sum === undefined) continue;
        if (logprobs === null) {
          sum.abstentions++;
          sum.reason = reason ?? "no state";
          continue;
        }
        const first = argMax(logprobs);
        add(sum, logprobs, token, bytes);
        sum.weight += weight;
        if (first === top) sum.sameTop++;
        present.push({ sum, logprobs, state, top: first });
      }
      if (present.length === 0) return { ...own, disagreement: null };
      const { divergence, entropies } =
        prediction.comparison ?? jensenShannon(present.map((member) => member.logprobs));
      for (const [i, member] of present.entries()) member.sum.entropy += entropies[i] ?? 0;
      if (present.length === 1) return { ...own, disagreement: null };
      const sameTop = Number(present.every((member) => member.top === present[0]?.top));
      const distance = meanCosineDistance(present.flatMap(({ state }) => (state === null ? [] : [state])));
      compared.positions++;
      compared.divergence += divergence;
      compared.sameTop += sameTop;
      compared.distance += distance;
      return { ...own, disagreement: { divergence, sameTop, distance } };
    },
    report(requestId, latenciesMs, losses = []) {
      return {
        requestId,
        agreement: agreementOf(compared),
        members: members.map((member, m) =>
          memberReport(member, sums[m] ?? emptySums(), latenciesMs[m] ?? 0, losses[m] ?? null),
        ),
        bitsPerByte: bitsPerByte(answering),
        entropy: mean(answering.entropy, answering.positions),
      };
    },
  };
}

/** A member that has a distribution at the position in hand. */
interface Present {
  readonly sum: MemberSums;
  readonly logprobs: Float32Array;
  readonly state: Float32Array | null;
  readonly top: number;
}

function emptySums(): MemberSums {
  return { positions: 0, nats: 0, bytes: 0, entropy: 0, weight: 0, sameTop: 0, abstentions: 0, reason: "" };
}

function add(sum: MemberSums, logprobs: Float32Array, token: number, bytes: number): void {
  sum.positions++;
  sum.nats -= logprobs[token] ?? -Infinity;
  sum.bytes += bytes;
}

function memberReport(
  member: TalliedMember,
  sum: MemberSums,
  latencyMs: number,
  lost: MemberLoss | null,
): MemberReport {
  return {
    id: member.id,
    weight: mean(sum.weight, sum.positions + sum.abstentions) ?? member.weight,
    bitsPerByte: bitsPerByte(sum),
    top1Agreement: mean(sum.sameTop, sum.positions),
    entropy: mean(sum.entropy, sum.positions),
    latencyMs,
    ...(sum.abstentions > 0 && { abstained: { positions: sum.abstentions, reason: sum.reason } }),
    ...(lost !== null && { lost }),
  };
}

function agreementOf(compared: {
  positions: number;
  divergence: number;
  sameTop: number;
  distance: number;
}): Agreement {
  const { positions } = compared;
  return {
    positions,
    jsDivergence: mean(compared.divergence, positions),
    top1Agreement: mean(compared.sameTop, positions),
    stateDistance: mean(compared.distance, positions),
  };
}

function mean(sum: number, count: number): number | null {
  return count === 0 ? null : sum / count;
}

/** nats / (bytes · ln 2). */
function bitsPerByte({ nats, bytes }: MemberSums): number | null {
  return bytes === 0 ? null : nats / bytes / Math.LN2;
}

/** Mean over pairs of 1 − cos(z_i, z_j), in [0, 2]. */
function meanCosineDistance(states: readonly Float32Array[]): number {
  let sum = 0;
  let pairs = 0;
  for (let i = 0; i < states.length; i++) {
    for (let j = i + 1; j < states.length; j++) {
      sum += 1 - cosine(states[i] ?? new Float32Array(0), states[j] ?? new Float32Array(0));
      pairs++;
    }
  }
  return pairs === 0 ? 0 : sum / pairs;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  const norm = Math.sqrt(aa * bb);
  return norm === 0 ? 0 : dot / norm;
}
