import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Progress } from "../../src/ports/progress.ts";
import { silentProgress } from "../../src/ports/progress.ts";
import { tapEncoderGraph, type EncoderShape } from "../../src/weights/encoder-graph.ts";
import type { ByteSink } from "../../src/weights/external-data.ts";
import { buildFusion, type FusionRecipe } from "../../src/weights/fusion-graph.ts";
import { openGguf } from "../../src/weights/gguf.ts";
import { buildLinearDecoder, type LinearDecoder } from "../../src/weights/head.ts";
import { buildModelGraphs } from "../../src/weights/model-graphs.ts";
import type { ModelShape } from "../../src/weights/model-shape.ts";
import { openFileBytes } from "./file-bytes.ts";
import { hasOwnOperators } from "./native-session.ts";
import type { Provider } from "./provider.ts";

/** Raise these whenever the builder writes other graphs from the same weights: cached ones are then built anew. */
export const MEMBER_VERSION = 3;
export const BUILDER_VERSION = 1;

/** A head graph on disk: states (n, width) → logits (n, V). */
export interface HeadFiles {
  readonly head: string;
  readonly width: number;
  readonly vocabularySize: number;
}

/** A member's graphs on disk. */
export interface MemberFiles extends HeadFiles {
  readonly body: string;
  readonly shape: ModelShape;
  /** sha256 of the weight file, hex. */
  readonly weightsHash: string;
}

export interface MemberGraphOptions {
  /** Where graphs are kept: `concordPaths().graphs`. */
  readonly directory: string;
  /** A GGUF file. */
  readonly weightPath: string;
  /** Its sha256, hex. */
  readonly weightsHash: string;
  /** For the progress bar. */
  readonly label: string;
  readonly progress?: Progress | undefined;
  /** What they will run on. Default: the processor. */
  readonly provider?: Provider | undefined;
}

/** A sentence encoder's graph on disk. */
export interface EncoderFiles {
  readonly graph: string;
  readonly shape: EncoderShape;
  /** Names of the graph's inputs. */
  readonly inputs: readonly string[];
  /** sha256 of the exported file, hex. */
  readonly weightsHash: string;
}

export interface EncoderGraphOptions {
  /** Where graphs are kept: `concordPaths().graphs`. */
  readonly directory: string;
  /** An exported ONNX file. */
  readonly graphPath: string;
  /** Its sha256, hex. */
  readonly weightsHash: string;
  readonly label: string;
  readonly progress?: Progress | undefined;
}

export interface DecoderGraphOptions {
  /** Where graphs are kept: `concordPaths().graphs`. */
  readonly directory: string;
  /** What decides the matrix, as a file name: the hash of a map and of the weights it was built from. */
  readonly key: string;
  /** Called only when the graph is not there yet. */
  readonly load: () => Promise<LinearDecoder>;
  readonly label: string;
  readonly progress?: Progress | undefined;
}

/** Behind the names of graphs with operators that onnxruntime has not. */
const OWN = "-own";

const BODY = "body.onnx";
const HEAD = "head.onnx";
const WEIGHTS = "weights.bin";
const SHAPE = "shape.json";

const shapeSchema = z.object({
  family: z.string(),
  layers: z.int().positive(),
  width: z.int().positive(),
  heads: z.int().positive(),
  kvHeads: z.int().positive(),
  headSize: z.int().positive(),
  epsilon: z.number().positive(),
  ropeBase: z.number().positive(),
  window: z.int().positive().nullable(),
  contextLength: z.int().positive(),
  vocabularySize: z.int().positive(),
});

const encoderSchema = z.object({
  layers: z.int().positive(),
  width: z.int().positive(),
  inputs: z.array(z.string()),
});

const headSchema = z.object({ width: z.int().positive(), vocabularySize: z.int().positive() });

/** The graphs of a member, built from its weight file unless they are there. */
export async function memberGraphs(options: MemberGraphOptions): Promise<MemberFiles> {
  const { weightsHash, label, progress = silentProgress, provider = "cpu" } = options;
  const lowBits = hasOwnOperators(provider);
  const folder = join(options.directory, `${weightsHash}-v${MEMBER_VERSION}${lowBits ? OWN : ""}`);
  await buildOnce(folder, async (target) => {
    const source = await openFileBytes(options.weightPath);
    try {
      const weights = await openGguf(source);
      progress.stage(`building ${label}`, source.size, "bytes");
      const graphs = await withExternalData(target, (sink) =>
        buildModelGraphs(weights, {
          location: WEIGHTS,
          sink,
          lowBits,
          onProgress: (done, total) => progress.update(Math.round((done / total) * source.size)),
        }),
      );
      await writeFile(join(target, BODY), graphs.body);
      await writeFile(join(target, HEAD), graphs.head);
      await writeFile(join(target, SHAPE), JSON.stringify(graphs.shape));
      progress.finish();
    } finally {
      await source.close();
    }
  });
  const shape = shapeSchema.parse(JSON.parse(await readFile(join(folder, SHAPE), "utf8")));
  const { width, vocabularySize } = shape;
  return { body: join(folder, BODY), head: join(folder, HEAD), width, vocabularySize, shape, weightsHash };
}

/** A sentence encoder's graph with every layer as an output, made from the exported one unless it is there. */
export async function encoderGraph(options: EncoderGraphOptions): Promise<EncoderFiles> {
  const { weightsHash, label, progress = silentProgress } = options;
  const folder = join(options.directory, `${weightsHash}-taps-v${BUILDER_VERSION}`);
  await buildOnce(folder, async (target) => {
    progress.stage(`building ${label}`, 1, "steps");
    const { graph, shape, inputs } = tapEncoderGraph(await readFile(options.graphPath));
    await writeFile(join(target, BODY), graph, { flush: true });
    await writeFile(join(target, SHAPE), JSON.stringify({ ...shape, inputs }));
    progress.update(1);
    progress.finish();
  });
  const { inputs, ...shape } = encoderSchema.parse(JSON.parse(await readFile(join(folder, SHAPE), "utf8")));
  return { graph: join(folder, BODY), shape, inputs, weightsHash };
}

/** The graph of a linear decoder, built unless it is there. */
export async function decoderGraph(options: DecoderGraphOptions): Promise<HeadFiles> {
  const { label, progress = silentProgress } = options;
  const folder = join(options.directory, `decoder-${options.key}-v${BUILDER_VERSION}`);
  await buildOnce(folder, async (target) => {
    const decoder = await options.load();
    const { width, vocabularySize } = decoder;
    progress.stage(`building ${label}`, vocabularySize, "steps");
    const rows = (first: number, count: number): Float32Array => {
      progress.update(first + count);
      return decoder.rows(first, count);
    };
    const graph = await withExternalData(target, (sink) =>
      buildLinearDecoder({ ...decoder, rows }, WEIGHTS, sink),
    );
    await writeFile(join(target, HEAD), graph);
    await writeFile(join(target, SHAPE), JSON.stringify({ width, vocabularySize }));
    progress.finish();
  });
  const shape = headSchema.parse(JSON.parse(await readFile(join(folder, SHAPE), "utf8")));
  return { head: join(folder, HEAD), ...shape };
}

export interface FusionGraphOptions {
  /** Where graphs are kept: `concordPaths().graphs`. */
  readonly directory: string;
  /** What decides the graph, as a file name. */
  readonly key: string;
  /** Called only when the graph is not there yet. */
  readonly load: () => Promise<FusionRecipe>;
  readonly label: string;
  readonly progress?: Progress | undefined;
  /** What it will run on. Default: the processor. */
  readonly provider?: Provider | undefined;
}

/** The path of a fusion graph, built unless it is there. */
export async function fusionGraph(options: FusionGraphOptions): Promise<string> {
  const { label, progress = silentProgress, provider = "cpu" } = options;
  const mixes = hasOwnOperators(provider);
  const folder = join(options.directory, `fusion-${options.key}-v${BUILDER_VERSION}${mixes ? OWN : ""}`);
  await buildOnce(folder, async (target) => {
    const recipe = await options.load();
    progress.stage(`building ${label}`, 1, "steps");
    const graph = await withExternalData(target, (sink) => buildFusion(recipe, WEIGHTS, sink, mixes));
    await writeFile(join(target, HEAD), graph);
    progress.update(1);
    progress.finish();
  });
  return join(folder, HEAD);
}

async function withExternalData<T>(folder: string, write: (sink: ByteSink) => Promise<T>): Promise<T> {
  const file = await open(join(folder, WEIGHTS), "w");
  try {
    const result = await write((bytes) => file.writeFile(bytes));
    // The folder must not get its final name before its bytes are on the disk.
    await file.sync();
    return result;
  } finally {
    await file.close();
  }
}

/**
 * Fills `folder` once. The work is done in a folder of this process and renamed when complete, so a folder under
 * its final name is whole. Of two processes that build at once the first to finish wins; the other's work is dropped.
 */
export async function buildOnce(folder: string, build: (target: string) => Promise<void>): Promise<void> {
  if (await exists(folder)) return;
  const directory = join(folder, "..");
  await mkdir(directory, { recursive: true });
  await removeAbandoned(directory);
  const target = join(directory, temporaryName());
  await mkdir(target);
  try {
    await build(target);
    await rename(target, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}

/** Host names tell apart processes that share the folder but not the process ids, as containers do. */
const TEMPORARY = `.building-${hostname()}-`;

function temporaryName(): string {
  return `${TEMPORARY}${process.pid}-${randomBytes(4).toString("hex")}`;
}

async function removeAbandoned(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(TEMPORARY)) continue;
    const pid = Number.parseInt(name.slice(TEMPORARY.length), 10);
    if (!isAlive(pid)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
