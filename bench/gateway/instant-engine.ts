import type { AgreementLog } from "../../src/ports/agreement-log.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { AnswerReport, Engine } from "../../src/ports/engine.ts";

/** What every answer says; the instant peer says the same. */
export const INSTANT_TEXT = "Paris is the capital of France.";
export const INSTANT_PROMPT_TOKENS = 12;
export const INSTANT_COMPLETION_TOKENS = 8;

const MODEL = "concord";

const member = (id: string, weight: number): AnswerReport["members"][number] => ({
  id,
  weight,
  bitsPerByte: 0.41,
  top1Agreement: 0.75,
  entropy: 1.9,
  latencyMs: 0,
});

/**
 * Answers at once with a fixed text, and reports on it as two members that agreed in part would: what is left is what the
 * gateway costs. Like the product's engine it logs before it tells the end.
 * @param log null: nothing is logged
 */
export function createInstantEngine(log: AgreementLog | null, clock: Clock): Engine {
  const bytes = new TextEncoder().encode(INSTANT_TEXT);
  return {
    models: () => [{ id: MODEL, created: 1_750_000_000, ownedBy: "concord", contextLength: 8192 }],
    async *answer(question) {
      const start = clock.monotonic();
      yield {
        type: "delta",
        text: INSTANT_TEXT,
        tokens: [{ token: 1, bytes, logprob: -0.5, top: [] }],
      };
      const report: AnswerReport = {
        requestId: question.requestId,
        answeredBy: MODEL,
        agreement: {
          positions: INSTANT_COMPLETION_TOKENS,
          jsDivergence: 0.13,
          top1Agreement: 0.75,
          stateDistance: 0.4,
        },
        members: [member("smollm2-135m-instruct", 0.45), member("gemma-3-270m", 0.55)],
        bitsPerByte: 0.36,
        entropy: 1.7,
      };
      await log?.append({
        requestId: question.requestId,
        createdAt: clock.now(),
        endpoint: question.endpoint,
        model: question.model,
        promptTokens: INSTANT_PROMPT_TOKENS,
        completionTokens: INSTANT_COMPLETION_TOKENS,
        finishReason: "stop",
        latencyMs: clock.monotonic() - start,
        firstTokenMs: 0,
        report,
        text: null,
        confidence: null,
        experiment: null,
      });
      yield {
        type: "end",
        finishReason: "stop",
        usage: { promptTokens: INSTANT_PROMPT_TOKENS, completionTokens: INSTANT_COMPLETION_TOKENS },
        report,
        confidence: { value: null, reason: "nothing is calibrated" },
      };
    },
  };
}
