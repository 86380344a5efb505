import { availableParallelism } from "node:os";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { Decoder, LanguageModel } from "../../src/ports/language-model.ts";
import type { Running } from "../../src/ensemble/supervisor.ts";
import type { Tokenizer } from "../../src/ports/tokenizer.ts";
import type { SharedSpace } from "../../src/alignment/shared-space.ts";
import type { FusedWords, Fusion } from "../../src/ensemble/fusion.ts";
import { FUSED_AT_ONCE, fusedRowsIn, fusedRowsSize, type FusedRows } from "./fusion-runner.ts";
import type { HeadFiles, MemberFiles } from "./graph-cache.ts";
import type { Provider } from "./provider.ts";
import type { FusedRow, FusionShape } from "./worker-messages.ts";
import { createWorkerSequence } from "./worker-sequence.ts";
import { openWorkerChannel, startModelWorker, type WorkerChannel } from "./worker-channel.ts";

export interface OnnxMemberOptions {
  readonly id: string;
  readonly files: MemberFiles;
  readonly tokenizer: Tokenizer;
  /** Threads that one operator may use. Default: half the cores, at least 1, so that two members share them. */
  readonly threads?: number | undefined;
  /** What its graphs run on. Default: the processor. */
  readonly provider?: Provider | undefined;
  /** Gives it up while it starts. */
  readonly signal?: AbortSignal | undefined;
  /** Memory for beginnings that were read before, so that they are not read again. Default 0: none. */
  readonly prefixBytes?: number | undefined;
  /** Starts its thread. */
  readonly startWorker?: typeof startModelWorker | undefined;
}

export interface OnnxDecoderOptions {
  /** For error messages. */
  readonly name: string;
  readonly files: HeadFiles;
  /** Absent: it only decodes. */
  readonly fusion?: FusionFiles | undefined;
  /** These as for a member. */
  readonly threads?: number | undefined;
  readonly provider?: Provider | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly startWorker?: typeof startModelWorker | undefined;
}

/** A member on a worker of its own. */
export interface OnnxMember extends LanguageModel, Running {}

/** A decoder on a worker of its own, and the fusion that goes with it. */
export interface OnnxDecoder extends Decoder, Running {
  readonly fusion: Fusion | null;
}

export interface FusionFiles {
  readonly shape: FusionShape;
  readonly gates: SharedSpace["gates"];
}

/**
 * Starts a member: one worker thread that holds its graph and the caches of its sequences.
 * Its output head is loaded when first asked.
 * @throws GatewayError members_lost when the graph cannot be loaded
 */
export async function createOnnxMember(options: OnnxMemberOptions): Promise<OnnxMember> {
  const { id, files, tokenizer, prefixBytes = 0 } = options;
  const { threads = defaultThreads(), provider = "cpu", startWorker = startModelWorker } = options;
  const { body, head, shape } = files;
  const channel = await openWorkerChannel(
    id,
    startWorker(id, {
      member: { body, shape, prefixBytes },
      head,
      fusion: null,
      encoder: null,
      threads,
      provider,
    }),
    options.signal,
  );
  let sequences = 0;
  return {
    info: {
      id,
      family: shape.family,
      width: shape.width,
      layers: shape.layers,
      contextLength: shape.contextLength,
      weightsHash: files.weightsHash,
    },
    tokenizer,
    head: createWorkerDecoder(id, channel, files),
    openSequence: () => createWorkerSequence({ id, channel, shape, number: sequences++ }),
    lost: channel.lost,
    close: () => channel.close(),
    abandon: () => channel.abandon(),
  };
}

/**
 * Starts a decoder that belongs to no member, such as the one of the shared space.
 * @throws GatewayError members_lost when its worker does not start
 */
export async function createOnnxDecoder(options: OnnxDecoderOptions): Promise<OnnxDecoder> {
  const { name, files, fusion, threads = availableParallelism(), provider = "cpu" } = options;
  const { startWorker = startModelWorker } = options;
  const channel = await openWorkerChannel(
    name,
    startWorker(name, {
      member: null,
      head: files.head,
      fusion: fusion?.shape ?? null,
      encoder: null,
      threads,
      provider,
    }),
    options.signal,
  );
  return {
    ...createWorkerDecoder(name, channel, files),
    fusion: fusion ? createWorkerFusion(name, channel, fusion) : null,
    lost: channel.lost,
    close: () => channel.close(),
    abandon: () => channel.abandon(),
  };
}

/** Half the cores, at least 1. */
export function defaultThreads(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2));
}

function createWorkerFusion(name: string, channel: WorkerChannel, { shape, gates }: FusionFiles): Fusion {
  const flat = { text: gates.text.flat(), chat: gates.chat.flat() };
  return {
    async fuse(positions, signal, done = []) {
      const words: FusedWords[] = [];
      for (let first = 0; first < positions.length; first += FUSED_AT_ONCE) {
        if (signal?.aborted) throw new GatewayError("cancelled", `${name} fuse: cancelled`);
        const part = positions.slice(first, first + FUSED_AT_ONCE);
        const memory = part.map((_, i) => sharedMemory(shape, done[first + i]));
        const { rows } = await channel.fuse({
          kind: "fuse",
          positions: part.map(({ kind, states, continued }, i) => ({
            states,
            gate: flat[kind],
            continued,
            into: memory[i]!,
          })),
        });
        words.push(...memory.map((all, i) => wordsOf(fusedRowsIn(shape, all), rows[i])));
      }
      return words;
    },
  };
}

/** Memory for the rows of one position. @param done words whose memory it may be */
function sharedMemory(shape: FusionShape, done?: FusedWords): Float32Array<SharedArrayBuffer> {
  const buffer = done?.logprobs.buffer;
  return new Float32Array(
    buffer instanceof SharedArrayBuffer ? buffer : new SharedArrayBuffer(4 * fusedRowsSize(shape)),
  );
}

function wordsOf(rows: FusedRows, row: FusedRow | undefined): FusedWords {
  if (row === undefined) throw new Error("fuse: the worker left a position out");
  const { entropies, divergence, ...others } = row;
  return {
    ...rows,
    ...others,
    comparison: { divergence, entropies: entropies.slice(0, -1) },
    entropy: entropies.at(-1) ?? 0,
  };
}

/** Rows decoded in one go; between two goes the worker can turn to something else. 33 MiB of logits for V = 262,144. */
const ROWS_PER_REQUEST = 32;

function createWorkerDecoder(name: string, channel: WorkerChannel, files: HeadFiles): Decoder {
  const { width, vocabularySize } = files;
  return {
    width,
    vocabularySize,
    async decode(states, signal) {
      if (states.length % width !== 0) {
        throw new RangeError(`${name} decode: ${states.length} numbers are no rows of width ${width}`);
      }
      const rows = states.length / width;
      const logits = new Float32Array(rows * vocabularySize);
      for (let first = 0; first < rows; first += ROWS_PER_REQUEST) {
        if (signal?.aborted) throw new GatewayError("cancelled", `${name} decode: cancelled`);
        const end = Math.min(first + ROWS_PER_REQUEST, rows);
        const part = states.slice(first * width, end * width);
        const result = await channel.decode({ kind: "decode", states: part, rows: end - first });
        if (rows <= ROWS_PER_REQUEST) return result.logits;
        logits.set(result.logits, first * vocabularySize);
      }
      return logits;
    },
  };
}
