import type { AnswerTrace, TracePosition, TraceToken } from "../ports/answer-trace.ts";
import type { TokenScore } from "../ports/engine.ts";
import type { Tokenizer } from "../ports/tokenizer.ts";
import type { Prediction } from "./reading.ts";
import { topTokens } from "./sampler.ts";
import type { PositionSignals } from "./tally.ts";

/** Notes an answer token by token, for the log. */
export interface Tracer {
  /** One token of the answer, in turn. */
  observe(prediction: Prediction, score: TokenScore, signals: PositionSignals): void;
  /** Null of no tokens. */
  trace(members: readonly string[]): AnswerTrace | null;
}

const CHOICES = 5;

/**
 * @param tokenizer the answering vocabulary's
 * @param keepTokens whether to note what was said too, for which every member's distribution is passed over once a token
 */
export function createTracer(tokenizer: Tokenizer, keepTokens: boolean): Tracer {
  const positions: TracePosition[] = [];
  const tokens: TraceToken[] = [];
  return {
    observe(prediction, { bytes }, { logprob, disagreement }) {
      positions.push({
        divergence: disagreement?.divergence ?? null,
        logprob,
        weights: prediction.members.map(({ weight }) => weight),
      });
      if (!keepTokens) return;
      tokens.push({
        text: textOf(bytes),
        choices: prediction.members.map(({ logprobs }) =>
          logprobs === null
            ? []
            : topTokens(logprobs, CHOICES).map((token) => ({
                text: textOf(tokenizer.bytes(token)),
                probability: Math.round(1e4 * Math.exp(logprobs[token] ?? -Infinity)) / 1e4,
              })),
        ),
      });
    },
    trace: (members) =>
      positions.length === 0 ? null : { members, positions, tokens: keepTokens ? tokens : null },
  };
}

/** A part of a character becomes U+FFFD. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
