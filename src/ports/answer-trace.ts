/**
 * One answer, token by token. Of an answer that the ensemble took over from a lost member that had begun it alone, the
 * tokens from there on.
 */
export interface AnswerTrace {
  /** Ids of those who answered (m). */
  readonly members: readonly string[];
  /** One per token of the answer (t). */
  readonly positions: readonly TracePosition[];
  /** What was said and what else might have been (t); null unless text is kept. */
  readonly tokens: readonly TraceToken[] | null;
}

/** Numbers that tell nothing of the text. Stored in a byte each: see the errors. */
export interface TracePosition {
  /** Jensen–Shannon divergence of the members, nats, ± ln(m) / 510; null where fewer than two were there. */
  readonly divergence: number | null;
  /** ln p of the token under the answering distribution, nats, in [−32, 0], ± 0.06 at −1, ± 0.2 at −10. */
  readonly logprob: number;
  /** Each member's weight here (m), in [0, 1], ± 0.002. */
  readonly weights: readonly number[];
}

export interface TraceToken {
  /** The token that was taken; a part of a character is shown as U+FFFD. */
  readonly text: string;
  /** Each member's most likely tokens (m), at most five, best first; none where it abstained. */
  readonly choices: readonly (readonly TraceChoice[])[];
}

export interface TraceChoice {
  readonly text: string;
  /** In [0, 1], to four decimals. */
  readonly probability: number;
}
