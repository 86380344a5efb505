import { normaliseRows } from "../alignment/sentence-space.ts";
import type { Embedder, Embeddings, EmbedRequest } from "../ports/embedder.ts";
import type { ModelCard } from "../ports/engine.ts";
import { GatewayError } from "../ports/gateway-error.ts";
import type { SentenceEncoders } from "../ports/sentence-encoders.ts";
import { ENSEMBLE_ID } from "./engine.ts";

/** How a member's own vectors are had. */
export interface NativeVectors {
  readonly id: string;
  readonly contextLength: number;
  readonly layer: number;
  /**
   * Each number less its mean, times one over its deviation. A causal model's states need it, since a few of their
   * numbers are the same large ones for every text; an encoder was trained to do without.
   */
  readonly standard: { readonly mean: Float32Array; readonly scale: Float32Array } | null;
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
 * `concord` puts the sentence encoders' vectors, each of length 1, side by side, e = [e_1 … e_m] / √m, so that a cosine is
 * the mean of the members' cosines. Measured on pairs that belong together (neighbouring sentences, question and answer),
 * mean reciprocal rank: .700 against .687 for the best encoder and .686 for the mean in the shared space; language models
 * beside them add nothing. The numbers are interleaved, so that the first ones are some of every member's.
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
    const rows =
      standard === null
        ? states
        : states.map(
            (x, at) => (x - (standard.mean[at % dimension] ?? 0)) * (standard.scale[at % dimension] ?? 0),
          );
    return { dimension, vectors: normaliseRows(rows, dimension), tokens: sum(tokens) };
  }

  async function vectorsOf(request: EmbedRequest): Promise<Embeddings> {
    const { model, texts, signal } = request;
    if (model === ENSEMBLE_ID && fused.length > 0) {
      return interleaved(await Promise.all(fused.map((member) => native(member, request))), texts.length);
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

/** Vectors of m members (n, d_i) → (n, Σ d_i): the first number of each, then the second, … over √m. */
function interleaved(members: readonly Embeddings[], rows: number): Embeddings {
  const dimension = members.reduce((total, member) => total + member.dimension, 0);
  const longest = Math.max(...members.map((member) => member.dimension));
  const vectors = new Float32Array(rows * dimension);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < longest; j++) {
      for (const { dimension: width, vectors: own } of members) {
        if (j < width) vectors[at++] = (own[row * width + j] ?? 0) / Math.sqrt(members.length);
      }
    }
  }
  return { dimension, vectors, tokens: members.reduce((total, { tokens }) => total + tokens, 0) };
}

function sum(tokens: Int32Array): number {
  return tokens.reduce((total, count) => total + count, 0);
}
