import type { AnswerReport, Confidence } from "../ports/engine.ts";
import type { JudgedConfidence } from "../ports/observations.ts";

/** What is watched, one number an answer at most. */
export type SignalName =
  /** Of the answer, as `Agreement` has them. */
  | "js_divergence"
  | "top1_agreement"
  | "state_distance"
  /** Where there is one. */
  | "confidence"
  /** Confidence less 1 where the answer was right, or 0 where it was wrong: by feedback. */
  | "calibration_error"
  /** CKA of the members' last layers in one batch of places in live texts: mean over pairs of members. */
  | "layer_similarity"
  /** Of a member: its share of all members' weights. */
  | "weight_share"
  /** Of a member. */
  | "bits_per_byte"
  /** Of a member: positions at which it gave no state, as a share of these and of those that were compared. */
  | "abstention_rate";

export interface Signal {
  readonly name: SignalName;
  /** Whose it is; null for one of all members together. */
  readonly member: string | null;
}

export interface SignalValue extends Signal {
  readonly value: number;
}

/** Of all members, and of each. */
export function signalsOf(members: readonly string[]): Signal[] {
  const together = [
    "js_divergence",
    "top1_agreement",
    "state_distance",
    "confidence",
    "calibration_error",
    "layer_similarity",
  ] as const;
  const own = ["weight_share", "bits_per_byte", "abstention_rate"] as const;
  return [
    ...together.map((name) => ({ name, member: null })),
    ...members.flatMap((member) => own.map((name) => ({ name, member }))),
  ];
}

/**
 * What one answer tells. Only answers by all members are comparable: nothing where one answered alone, was lost on the way,
 * or there was nothing to compare.
 */
export function answerSignals(report: AnswerReport, confidence: Confidence): SignalValue[] {
  const { agreement, members } = report;
  if (agreement.positions === 0 || members.some(({ lost }) => lost)) return [];
  const together: readonly (readonly [SignalName, number | null])[] = [
    ["js_divergence", agreement.jsDivergence],
    ["top1_agreement", agreement.top1Agreement],
    ["state_distance", agreement.stateDistance],
    ["confidence", confidence.value],
  ];
  const weights = members.reduce((sum, { weight }) => sum + weight, 0);
  const own = members.flatMap(({ id: member, weight, bitsPerByte, abstained }) => {
    const values: readonly (readonly [SignalName, number | null])[] = [
      ["weight_share", weights > 0 ? weight / weights : null],
      ["bits_per_byte", bitsPerByte],
      ["abstention_rate", (abstained?.positions ?? 0) / (agreement.positions + (abstained?.positions ?? 0))],
    ];
    return told(member, values);
  });
  return [...told(null, together), ...own];
}

export function judgementSignals({ confidence, correct }: JudgedConfidence): SignalValue[] {
  return [{ name: "calibration_error", member: null, value: confidence - Number(correct) }];
}

function told(
  member: string | null,
  values: readonly (readonly [SignalName, number | null])[],
): SignalValue[] {
  return values.flatMap(([name, value]) => (value === null ? [] : [{ name, member, value }]));
}
