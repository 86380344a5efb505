import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Generator, Streams } from "./generator.ts";
import { answerMeasures } from "./measures.ts";
import { setting } from "./setting.ts";

/*
 * One member in node-llama-cpp, from its GGUF file: CONCORD_BENCH_LLAMA is the folder that has the package,
 * CONCORD_BENCH_WEIGHTS the file, CONCORD_BENCH_THREADS the threads.
 */

/** What is used of the package, which is installed for the comparison alone. */
interface LlamaPackage {
  getLlama(options: {
    gpu: false;
    build: "never";
    skipDownload: true;
    progressLogs: false;
    logLevel: "error";
    maxThreads: number;
  }): Promise<Llama>;
}

interface Llama {
  loadModel(options: { modelPath: string; gpuLayers: 0 }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

interface LlamaModel {
  tokenize(text: string): number[];
  createContext(options: {
    sequences: number;
    contextSize: number;
    batchSize: number;
    threads: number;
  }): Promise<LlamaContext>;
}

interface LlamaContext {
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}

interface LlamaSequence {
  evaluate(
    tokens: readonly number[],
    options: { temperature: 0; yieldEogToken: true },
  ): AsyncGenerator<number, void, void>;
  dispose(): void;
}

/** As the library has it by default. */
const BATCH_TOKENS = 512;

async function openLlama(): Promise<Generator> {
  const folder = setting("CONCORD_BENCH_LLAMA");
  const threads = Number(setting("CONCORD_BENCH_THREADS"));
  const entry = pathToFileURL(join(folder, "node_modules/node-llama-cpp/dist/index.js"));
  const { getLlama } = (await import(entry.href)) as LlamaPackage;
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: "error",
    maxThreads: threads,
  });
  const model = await llama.loadModel({ modelPath: setting("CONCORD_BENCH_WEIGHTS"), gpuLayers: 0 });
  return {
    async openStreams(sequences, tokens) {
      const context = await model.createContext({
        sequences,
        contextSize: tokens,
        batchSize: Math.max(BATCH_TOKENS, sequences),
        threads,
      });
      return { generate: (...args) => generate(model, context, ...args), close: () => context.dispose() };
    },
    close: () => llama.dispose(),
  };
}

async function generate(
  model: LlamaModel,
  context: LlamaContext,
  ...[text, onToken, signal]: Parameters<Streams["generate"]>
): Promise<void> {
  const sequence = context.getSequence();
  try {
    const tokens = sequence.evaluate(model.tokenize(text), { temperature: 0, yieldEogToken: true });
    for await (const _ of tokens) {
      if (signal.aborted) return;
      onToken();
    }
  } finally {
    sequence.dispose();
  }
}

answerMeasures(openLlama);
