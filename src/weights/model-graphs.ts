import { type Architecture, buildBody } from "./body.ts";
import { type ByteSink, createExternalData } from "./external-data.ts";
import { gemma3 } from "./gemma3.ts";
import type { TensorInfo, WeightFile } from "./gguf.ts";
import { buildHead } from "./head.ts";
import { llama } from "./llama.ts";
import { type ModelShape, readModelShape } from "./model-shape.ts";
import { storeMatrices } from "./quantized-matrix.ts";

/** A member's two graphs. Both refer to the same external data file. */
export interface ModelGraphs {
  readonly shape: ModelShape;
  /** Token ids and cache → hidden states, residual streams and new cache entries. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Hidden states → logits. */
  readonly head: Uint8Array<ArrayBuffer>;
}

export interface ModelGraphOptions {
  /** File name of the external data, in the folder the graphs will lie in. */
  readonly location: string;
  /** Takes the external data. */
  readonly sink: ByteSink;
  /**
   * Matrices of the body that the file has in 4 or 5 bits stay so, as nodes that onnxruntime knows only where they are
   * ours. Default: all become 8-bit.
   */
  readonly lowBits?: boolean;
  /** Weights done, of all in the file. */
  readonly onProgress?: (done: number, total: number) => void;
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = { llama, gemma3 };

/**
 * Builds a decoder's graphs from its weights, all matrices in blocks of 32.
 * Holds some 16 MiB of float32 weights at a time.
 * @throws Error when the architecture is unknown, or when the file holds a tensor that the graph would not use
 */
export async function buildModelGraphs(
  weights: WeightFile,
  options: ModelGraphOptions,
): Promise<ModelGraphs> {
  const shape = readModelShape(weights);
  const architecture = ARCHITECTURES[shape.family];
  if (architecture === undefined) {
    const known = Object.keys(ARCHITECTURES).join(", ");
    throw new Error(`weight file: expected an architecture of ${known}, got ${shape.family}`);
  }
  const { file, finish } = countReads(weights, options.onProgress);
  const data = createExternalData(options.location, options.sink);
  const embedding = await storeMatrices(data, file, ["token_embd.weight"]);
  const { lowBits = false } = options;
  const body = await buildBody({ weights: file, data, shape, architecture, embedding, lowBits });
  // Without a head of its own a model decodes with its embedding.
  const head = file.tensors.has("output.weight")
    ? await storeMatrices(data, file, ["output.weight"])
    : embedding;
  finish();
  return { shape, body, head: buildHead(head, null) };
}

/** Follows what is read: for the progress, and so that no tensor is left out in silence. */
function countReads(
  weights: WeightFile,
  onProgress: (done: number, total: number) => void = () => {},
): { file: WeightFile; finish(): void } {
  const used = new Set<string>();
  const total = [...weights.tensors.values()].reduce((sum, tensor) => sum + weightCount(tensor), 0);
  let done = 0;
  function follow(name: string, count: number): void {
    used.add(name);
    done += count;
    onProgress(done, total);
  }
  return {
    file: {
      metadata: weights.metadata,
      tensors: weights.tensors,
      async tensor(name) {
        const values = await weights.tensor(name);
        follow(name, values.length);
        return values;
      },
      async rows(name, first, count) {
        const values = await weights.rows(name, first, count);
        follow(name, values.length);
        return values;
      },
      async lowBitRows(name, first, count) {
        const blocks = await weights.lowBitRows(name, first, count);
        follow(name, blocks.codes.length);
        return blocks;
      },
    },
    finish() {
      const unused = [...weights.tensors.keys()].filter((name) => !used.has(name));
      if (unused.length > 0) {
        throw new Error(
          `weight file: ${unused.length} tensors have no place in the graph, ${unused[0]} first; ` +
            "expected a model of exactly the architecture it names",
        );
      }
    },
  };
}

function weightCount(tensor: TensorInfo): number {
  return tensor.shape.reduce((product, extent) => product * extent, 1);
}
