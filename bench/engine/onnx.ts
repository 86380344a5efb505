import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { openFileBytes } from "../../adapters/node/file-bytes.ts";
import { buildOnce } from "../../adapters/node/graph-cache.ts";
import { createTokenizer } from "../../adapters/transformers/tokenizer.ts";
import { openGguf } from "../../src/weights/gguf.ts";
import { readModelShape, type ModelShape } from "../../src/weights/model-shape.ts";
import type { Generator } from "./generator.ts";
import { answerMeasures } from "./measures.ts";
import { buildPlainGraph, PLAIN_PORTS } from "./plain-graph.ts";
import { setting } from "./setting.ts";

/*
 * One member in onnxruntime without our changes, see plain-graph.ts: CONCORD_BENCH_WEIGHTS is its GGUF file,
 * CONCORD_BENCH_GRAPHS the folder its graph is kept in, CONCORD_BENCH_THREADS the threads. Streams take turns, a step each.
 */

const GRAPH = "plain.onnx";
const WEIGHTS = "weights.bin";

async function openPlain(): Promise<Generator> {
  const source = await openFileBytes(setting("CONCORD_BENCH_WEIGHTS"));
  const weights = await openGguf(source);
  const folder = setting("CONCORD_BENCH_GRAPHS");
  await buildOnce(folder, async (target) => {
    const file = await open(join(target, WEIGHTS), "w");
    try {
      const { graph } = await buildPlainGraph(weights, WEIGHTS, (bytes) => file.writeFile(bytes));
      await writeFile(join(target, GRAPH), graph);
    } finally {
      await file.close();
    }
  });
  const shape = readModelShape(weights);
  const tokenizer = createTokenizer(weights.metadata);
  await source.close();
  const session = await InferenceSession.create(join(folder, GRAPH), {
    intraOpNumThreads: Number(setting("CONCORD_BENCH_THREADS")),
  });
  return {
    openStreams: async () => ({
      async generate(text, onToken, signal) {
        let tokens = [tokenizer.documentStart, ...tokenizer.encode(text).ids];
        let past = emptyPast(shape);
        while (!signal.aborted) {
          const ids = new Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length]);
          const results = await session.run({ ...past, [PLAIN_PORTS.tokens]: ids });
          past = pastOf(shape, results);
          tokens = [largest(results[PLAIN_PORTS.logits]?.data as Float32Array)];
          onToken();
          // Others' turn: the session computes on this thread.
          await new Promise((resolve) => {
            setImmediate(resolve);
          });
        }
      },
      close: async () => {},
    }),
    close: () => session.release(),
  };
}

function emptyPast({ layers, kvHeads, headSize }: ModelShape): Record<string, Tensor> {
  const past: Record<string, Tensor> = {};
  for (let layer = 0; layer < layers; layer++) {
    for (const part of ["key", "value"] as const) {
      past[PLAIN_PORTS.past(part, layer)] = new Tensor("float32", new Float32Array(0), [
        1,
        kvHeads,
        0,
        headSize,
      ]);
    }
  }
  return past;
}

function pastOf({ layers }: ModelShape, results: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const past: Record<string, Tensor> = {};
  for (let layer = 0; layer < layers; layer++) {
    for (const part of ["key", "value"] as const) {
      const present = results[PLAIN_PORTS.present(part, layer)];
      if (present !== undefined) past[PLAIN_PORTS.past(part, layer)] = present;
    }
  }
  return past;
}

/** The most likely token. */
function largest(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) {
    if ((logits[token] ?? 0) > (logits[best] ?? 0)) best = token;
  }
  return best;
}

answerMeasures(openPlain);
