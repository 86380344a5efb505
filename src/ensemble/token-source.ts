import type { GrammarGuide } from "../ports/grammar.ts";
import type { Sampler } from "./sampler.ts";

/** Where an answer's tokens come from. */
export interface TokenSource {
  /** The next token, from the log-probabilities (V) of all, nats. */
  draw(logprobs: Float32Array): number | Promise<number>;
}

/** The tokens of an answer that is decided already. Ask for no more than there are. */
export function createGivenTokens(tokens: ArrayLike<number>): TokenSource {
  let next = 0;
  return { draw: () => tokens[next++] ?? 0 };
}

/** Tokens drawn among those that a grammar allows. */
export function createGuidedTokens(sampler: Sampler, guide: GrammarGuide): TokenSource {
  return {
    async draw(logprobs) {
      const token = sampler.draw(masked(logprobs, await guide.allowed()));
      await guide.accept(token);
      return token;
    },
  };
}

function masked(logprobs: Float32Array, allowed: Int32Array): Float32Array {
  return logprobs.map((logprob, token) =>
    ((allowed[token >> 5] ?? 0) >>> (token & 31)) & 1 ? logprob : -Infinity,
  );
}
