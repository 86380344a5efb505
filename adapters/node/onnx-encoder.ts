import { readFile } from "node:fs/promises";
import { checkLayers } from "../../src/ensemble/language-model-encoder.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { Running } from "../../src/ensemble/supervisor.ts";
import type { SentenceEncoder } from "../../src/ports/sentence-encoder.ts";
import { createEncoderTokenizer, type EncoderTokenizer } from "../transformers/encoder-tokenizer.ts";
import type { EncoderFiles } from "./graph-cache.ts";
import type { EncoderRecipe } from "./models/manifest.ts";
import { defaultThreads } from "./onnx-member.ts";
import type { Provider } from "./provider.ts";
import { openWorkerChannel, startModelWorker } from "./worker-channel.ts";

export interface OnnxEncoderOptions {
  readonly id: string;
  /** Architecture, as the manifest names it. */
  readonly family: string;
  readonly files: EncoderFiles;
  /** A `tokenizer.json`. */
  readonly tokenizerPath: string;
  readonly recipe: EncoderRecipe;
  /** Threads that one operator may use. Default as for a member. */
  readonly threads?: number | undefined;
  readonly provider?: Provider | undefined;
  /** Gives it up while it starts. */
  readonly signal?: AbortSignal | undefined;
}

/** A sentence encoder on a worker of its own. */
export interface OnnxEncoder extends SentenceEncoder, Running {}

/** Texts sent at once; between two goes a call can be cancelled. */
const TEXTS_PER_REQUEST = 16;

/** Starts a sentence encoder. @throws GatewayError members_lost when the graph cannot be loaded */
export async function createOnnxEncoder(options: OnnxEncoderOptions): Promise<OnnxEncoder> {
  const { id, family, files, recipe, threads = defaultThreads(), provider = "cpu" } = options;
  const { graph, inputs, shape, weightsHash } = files;
  if (shape.layers !== recipe.layers) {
    throw new Error(`${id}: expected ${recipe.layers} layers, its graph has ${shape.layers}`);
  }
  const tokenizer = createEncoderTokenizer(await readFile(options.tokenizerPath, "utf8"));
  const encoder = { graph, inputs, width: shape.width };
  const channel = await openWorkerChannel(
    id,
    startModelWorker(id, { member: null, head: null, fusion: null, encoder, threads, provider }),
    options.signal,
  );
  const info = { id, family, ...shape, contextLength: recipe.contextLength, weightsHash };
  const around = tokenizer.encode(recipe.prefix).length;
  return {
    info,
    async encode(texts, { layers, signal, onProgress }) {
      checkLayers(info, layers);
      const read = texts.map((text, row) => readText(tokenizer, text, row, { id, recipe, around }));
      const pooled = new Map(layers.map((layer) => [layer, new Float32Array(texts.length * shape.width)]));
      for (let first = 0; first < read.length; first += TEXTS_PER_REQUEST) {
        throwIfAborted(id, signal);
        const part = read.slice(first, first + TEXTS_PER_REQUEST);
        const { pooling } = recipe;
        const result = await channel.encode({ kind: "encode", texts: part, layers, pooling });
        for (const [i, layer] of layers.entries()) {
          pooled.get(layer)?.set(result.pooled[i] ?? [], first * shape.width);
        }
        onProgress?.();
      }
      throwIfAborted(id, signal);
      return { layers: pooled, tokens: Int32Array.from(read, (tokens) => tokens.length - around) };
    },
    lost: channel.lost,
    close: () => channel.close(),
    abandon: () => channel.abandon(),
  };
}

interface Reading extends Pick<OnnxEncoderOptions, "id" | "recipe"> {
  /** Tokens that are not the text's: the prefix, and what stands around every text. */
  readonly around: number;
}

function readText(
  tokenizer: EncoderTokenizer,
  text: string,
  row: number,
  { id, recipe, around }: Reading,
): Int32Array {
  const tokens = tokenizer.encode(recipe.prefix + text);
  if (tokens.length <= around) throw new RangeError(`${id} encode: text ${row} has no tokens`);
  if (tokens.length > recipe.contextLength) {
    throw new GatewayError(
      "context_length_exceeded",
      `${id}: text ${row} has ${tokens.length - around} tokens, at most ${recipe.contextLength - around} can be read; shorten it`,
    );
  }
  return tokens;
}

function throwIfAborted(id: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new GatewayError("cancelled", `${id} encode: cancelled`, { cause: signal.reason });
}
