import { poolGate } from "../src/alignment/gate.ts";
import type { Ensemble } from "../src/ensemble/ensemble.ts";
import type { LanguageModel } from "../src/ports/language-model.ts";
import { noOwnTokens } from "./scripted-fit.ts";
import { createScriptedMember } from "./scripted-member.ts";

/** Two toy members of one width and vocabulary: their states are the shared ones, and the decoder is both heads' sum. */
export function createScriptedEnsemble(): Ensemble {
  const anchor = createScriptedMember({ id: "first", seed: 1 });
  const follower = createScriptedMember({ id: "second", seed: 2 });
  const { width } = anchor.info;
  const { vocabularySize } = anchor.tokenizer;
  const identity = Float32Array.from({ length: width * width }, (_, at) => (at % (width + 1) === 0 ? 1 : 0));
  const shared = ({ info }: LanguageModel) => ({
    id: info.id,
    width,
    projection: identity,
    offset: new Float32Array(width),
    factor: identity,
    rowBias: new Float32Array(vocabularySize),
    weight: 0.5,
    own: noOwnTokens(vocabularySize),
  });
  return {
    members: [anchor, follower],
    space: {
      dimension: width,
      vocabularySize,
      decoderCentre: new Float32Array(width),
      members: [shared(anchor), shared(follower)],
      gates: { text: poolGate(2), chat: poolGate(2) },
    },
    routes: [],
    decoder: {
      width,
      vocabularySize,
      async decode(states, signal) {
        const [own, other] = await Promise.all([
          anchor.head.decode(states, signal),
          follower.head.decode(states, signal),
        ]);
        return own.map((logit, at) => logit + (other[at] ?? 0));
      },
    },
    continuations: [null, null],
  };
}
