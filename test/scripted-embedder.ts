import { GatewayError } from "../src/ports/gateway-error.ts";
import type { Embedder, EmbedRequest } from "../src/ports/embedder.ts";
import { scriptedCard } from "./scripted-engine.ts";

export interface ScriptedEmbedder extends Embedder {
  /** Every request so far. */
  readonly requests: readonly EmbedRequest[];
}

/** Vectors (3, 4, 12 · row) over their length; a text of three letters counts as one token; "long" is too long. */
export function createScriptedEmbedder(): ScriptedEmbedder {
  const requests: EmbedRequest[] = [];
  return {
    requests,
    models: () => [scriptedCard, { ...scriptedCard, id: "e5-small-v2", contextLength: 512 }],
    async embed(request) {
      requests.push(request);
      if (request.texts.includes("long")) {
        throw new GatewayError("context_length_exceeded", "text 0 is too long; shorten it", {
          param: "input",
        });
      }
      const vectors = Float32Array.from(
        request.texts.flatMap((_, row) => [3, 4, 12 * row].map((x) => x / Math.hypot(3, 4, 12 * row))),
      );
      const tokens = request.texts.reduce((sum, text) => sum + Math.ceil(text.length / 3), 0);
      return { dimension: 3, vectors, tokens };
    },
  };
}
