import type { Prediction } from "./reading.ts";

/** log (1/m Σ_m p_m(token)) over the members present, nats. */
export function logMeanProbability({ members }: Prediction, token: number): number {
  const present = members.flatMap(({ logprobs }) =>
    logprobs === null ? [] : [logprobs[token] ?? -Infinity],
  );
  return Math.log(present.reduce((sum, logprob) => sum + Math.exp(logprob), 0) / present.length);
}
