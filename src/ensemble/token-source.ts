/** Where an answer's tokens come from. */
export interface TokenSource {
  /** The next token, from the log-probabilities (V) of all, nats. @param top the most likely one, where it is known */
  draw(logprobs: Float32Array, top?: number): number;
}

/** The tokens of an answer that is decided already. Ask for no more than there are. */
export function createGivenTokens(tokens: ArrayLike<number>): TokenSource {
  let next = 0;
  return { draw: () => tokens[next++] ?? 0 };
}
