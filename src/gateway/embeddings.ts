import type { Embedder, Embeddings } from "../ports/embedder.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { GatewayContext } from "./environment.ts";
import { encodeFloat32s } from "./float32-base64.ts";
import { describe, readFields } from "./invalid-field.ts";
import { readJsonObject } from "./request-body.ts";
import { embeddingsRequest, type EmbeddingsRequest } from "./schemas.ts";
import { disconnection } from "./sse.ts";
import { supportedFields } from "./unsupported.ts";

/** `POST /v1/embeddings`: a vector for each text, in the texts' order. */
export const embeddings =
  (embedder: Embedder) =>
  async (c: GatewayContext): Promise<Response> => {
    const request = readFields(embeddingsRequest, supportedFields(await readJsonObject(c)));
    requireEmbeddingModel(embedder, request.model);
    const { model, input: texts } = request;
    const made = await c
      .get("observation")
      .embedder(embedder)
      .embed({ model, texts, signal: disconnection(c).signal });
    const { dimension, vectors, tokens } = shortened(made, request);
    const data = texts.map((_, index) => {
      const vector = vectors.slice(index * dimension, (index + 1) * dimension);
      const embedding = request.encoding_format === "base64" ? encodeFloat32s(vector) : [...vector];
      return { object: "embedding", index, embedding };
    });
    return c.json({
      object: "list",
      data,
      model,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  };

function requireEmbeddingModel(embedder: Embedder, name: string): void {
  const known = embedder.models().map(({ id }) => id);
  if (known.includes(name)) return;
  const message = `The model ${describe(name)} gives no embeddings: expected one of ${known.join(", ")}.`;
  throw new GatewayError("unknown_model", message, { param: "model" });
}

/** The first numbers of each vector, again of length 1, where the request asks for fewer than there are. */
function shortened({ dimension, vectors, tokens }: Embeddings, request: EmbeddingsRequest): Embeddings {
  const wanted = request.dimensions ?? dimension;
  if (wanted > dimension) {
    const message = `dimensions: expected at most ${dimension}, what ${request.model} has, got ${wanted}.`;
    throw new GatewayError("invalid_request", message, { param: "dimensions" });
  }
  if (wanted === dimension) return { dimension, vectors, tokens };
  const rows = vectors.length / dimension;
  const cut = new Float32Array(rows * wanted);
  for (let row = 0; row < rows; row++) {
    const head = vectors.subarray(row * dimension, row * dimension + wanted);
    const length = Math.hypot(...head);
    cut.set(length > 0 ? head.map((x) => x / length) : head, row * wanted);
  }
  return { dimension: wanted, vectors: cut, tokens };
}
