import type { AnswerReport } from "../ports/engine.ts";

/** The one object that an answer has beyond OpenAI's shape: how far the members agreed, in snake_case. */
export function concordReport(report: AnswerReport) {
  const { agreement } = report;
  const lost = report.members.flatMap((member) =>
    member.lost === undefined ? [] : [{ id: member.id, ...member.lost }],
  );
  return {
    request_id: report.requestId,
    answered_by: report.answeredBy,
    ...(report.notFused === undefined ? {} : { not_fused: report.notFused }),
    ...(lost.length === 0 ? {} : { degraded: { lost } }),
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
