import type { Confidence, ExperimentPart, Question } from "../ports/engine.ts";
import type { AnswerEnd } from "./answer.ts";

/**
 * The one object that an answer has beyond OpenAI's shape, in snake_case: how sure it is, with the probabilities of its
 * choices where it had any, and how far the members agreed.
 */
export function concordReport(end: AnswerEnd, question: Question | undefined) {
  const { report, confidence, experiment } = end;
  const { agreement } = report;
  const lost = report.members.flatMap((member) =>
    member.lost === undefined ? [] : [{ id: member.id, ...member.lost }],
  );
  return {
    request_id: report.requestId,
    answered_by: report.answeredBy,
    ...(report.notFused === undefined ? {} : { not_fused: report.notFused }),
    ...(lost.length === 0 ? {} : { degraded: { lost } }),
    ...(experiment === undefined ? {} : { experiment: experimentFields(experiment) }),
    ...confidenceFields(confidence),
    ...(question === undefined ? {} : demandedFields(end, question)),
    agreement: {
      positions: agreement.positions,
      js_divergence: agreement.jsDivergence,
      top1_agreement: agreement.top1Agreement,
      state_distance: agreement.stateDistance,
    },
    members: report.members.map((member) => ({
      id: member.id,
      weight: member.weight,
      bits_per_byte: member.bitsPerByte,
      top1_agreement: member.top1Agreement,
      entropy: member.entropy,
      latency_ms: member.latencyMs,
      ...(member.abstained === undefined ? {} : { abstained: member.abstained }),
    })),
    bits_per_byte: report.bitsPerByte,
    entropy: report.entropy,
  };
}

/** Of which arm the answer is; feedback about a shadow's answer names it by its own id. */
function experimentFields({ name, arm, recorded, shadow }: ExperimentPart) {
  return {
    name,
    arm,
    recorded,
    ...(shadow === undefined ? {} : { shadow: { arm: shadow.arm, request_id: shadow.requestId } }),
  };
}

/** A probability or null, and beside it what it is worth. */
function confidenceFields(confidence: Confidence) {
  if (confidence.value === null) return { confidence: null, confidence_reason: confidence.reason };
  const { name, items, likeness } = confidence.calibration;
  return {
    confidence: confidence.value,
    confidence_kind: confidence.kind,
    calibrated_on: { set: name, items, likeness },
  };
}

/** The choices and what was asked of the confidence. An abstention's answer keeps its form: whoever asked decides what it is worth. */
function demandedFields({ choices, confidence }: AnswerEnd, { choices: asked = [], demands }: Question) {
  const least = demands?.minConfidence ?? null;
  const values = asked.map(({ value }) => value);
  const valuesAt = (indices: readonly number[]) => values.filter((_, at) => indices.includes(at));
  const { probabilities = [], predictionSet = null } = choices ?? {};
  return {
    ...(choices === undefined
      ? {}
      : { choices: values.map((text, at) => ({ text, probability: probabilities[at] ?? 0 })) }),
    ...((demands?.coverage ?? null) === null
      ? {}
      : { prediction_set: predictionSet === null ? null : valuesAt(predictionSet) }),
    ...(least === null ? {} : { abstain: confidence.value === null || confidence.value < least }),
  };
}
