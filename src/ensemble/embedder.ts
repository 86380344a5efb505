import { normaliseRows } from "../alignment/sentence-space.ts";
import type { Embedder, Embeddings, EmbedRequest } from "../ports/embedder.ts";
import type { ModelCard } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { SentenceEncoders } from "../ports/sentence-encoders.ts";
import { ownVectors, sideBySideVectors, type Standard } from "./embedding-vectors.ts";
import { ENSEMBLE_ID } from "./engine.ts";

/** How a member's own vectors are had. */
export interface NativeVectors {
  readonly id: string;
  readonly contextLength: number;
  readonly layer: number;
  readonly standard: Standard | null;
  /** Whether its vectors are part of the fused ones. */
  readonly fused: boolean;
}

export interface EmbedderOptions {
  readonly encoders: SentenceEncoders;
  readonly natives: readonly NativeVectors[];
  /** Unix seconds. */
  readonly created: number;
}

/** Put before a member's name: its vectors in the shared space, which can be compared across members. */
export const SHARED_PREFIX = "shared:";

const SHARED_DEPTH = "deep";

/**
 * Vectors of texts: `concord`, each member's own, and each member's in the shared space.
 *
 * `concord` puts the sentence encoders' vectors side by side: `evaluateEmbeddings` compares it with other ways.
 */
export function createEmbedder({ encoders, natives, created }: EmbedderOptions): Embedder {
  const fused = natives.filter((member) => member.fused);
  const card = (id: string, contextLength: number): ModelCard => ({
    id,
    created,
    ownedBy: "concord",
    contextLength,
  });
  const cards = [
    ...(fused.length > 0
      ? [card(ENSEMBLE_ID, Math.min(...fused.map(({ contextLength }) => contextLength)))]
      : []),
    ...natives.map(({ id, contextLength }) => card(id, contextLength)),
    ...natives
      .filter(({ id }) => encoders.sharedIds.includes(id))
      .map(({ id, contextLength }) => card(SHARED_PREFIX + id, contextLength)),
  ];

  async function native({ id, layer, standard }: NativeVectors, request: EmbedRequest): Promise<Embeddings> {
    const { texts, signal } = request;
    const { layers, tokens } = await encoders.encode(id, texts, { layers: [layer], signal });
    const states = layers.get(layer) ?? new Float32Array();
    const dimension = states.length / texts.length;
    return { dimension, vectors: ownVectors(states, dimension, standard), tokens: sum(tokens) };
  }

  async function vectorsOf(request: EmbedRequest): Promise<Embeddings> {
    const { model, texts, signal } = request;
    if (model === ENSEMBLE_ID && fused.length > 0) {
      const members = await Promise.all(fused.map((member) => native(member, request)));
      return {
        ...sideBySideVectors(members),
        tokens: members.reduce((total, { tokens }) => total + tokens, 0),
      };
    }
    const own = natives.find(({ id }) => id === model);
    if (own !== undefined) return native(own, request);
    if (!cards.some(({ id }) => id === model)) {
      const known = cards.map(({ id }) => id).join(", ");
      throw new GatewayError(
        "unknown_model",
        `the model '${model}' gives no embeddings; there are: ${known}`,
        {
          param: "model",
        },
      );
    }
    const { dimension, states, tokens } = await encoders.shared(model.slice(SHARED_PREFIX.length), texts, {
      depths: [SHARED_DEPTH],
      signal,
    });
    const rows = states.get(SHARED_DEPTH) ?? new Float32Array();
    return { dimension, vectors: normaliseRows(rows, dimension), tokens: sum(tokens) };
  }

  return {
    models: () => cards,
    async embed(request) {
      try {
        return await vectorsOf(request);
      } catch (error) {
        throw asInputError(error);
      }
    },
  };
}

/** Faults of a text are faults of the request's `input`. */
function asInputError(error: unknown): unknown {
  if (error instanceof RangeError) {
    return new GatewayError("invalid_request", `input: ${error.message}`, { param: "input", cause: error });
  }
  if (error instanceof GatewayError && error.code === "context_length_exceeded") {
    return new GatewayError(error.code, error.message, { param: "input", cause: error });
  }
  return error;
}

function sum(tokens: Int32Array): number {
  return tokens.reduce((total, count) => total + count, 0);
}
