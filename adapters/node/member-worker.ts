import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import type { ModelShape } from "../../src/weights/model-shape.ts";
import { computeWithin } from "./compute-gate.ts";
import { createKvCache, type KvCache } from "./kv-cache.ts";
import { encodeTexts } from "./encode-texts.ts";
import type {
  AppendRequest,
  AppendResult,
  DecodeRequest,
  DecodeResult,
  FromWorker,
  Request,
  Result,
  ToWorker,
  WorkerSetup,
} from "./worker-messages.ts";

/*
 * One model on a thread of its own: onnxruntime computes on the thread that asks. Requests are answered in order.
 */

const setup = workerData as WorkerSetup;
const port = parentPort;
if (port === null) throw new Error("member-worker: expected to run as a worker thread");

function openSession(path: string): Promise<InferenceSession> {
  return InferenceSession.create(path, {
    intraOpNumThreads: setup.threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    // Plans are remembered for each shape of the inputs, and the shapes here never stop changing.
    enableMemPattern: false,
    // Idle threads that spin would take the cores from the other members.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
}

interface Member {
  append(request: AppendRequest): Promise<AppendResult>;
  forget(sequence: number): void;
  release(): Promise<void>;
}

async function openMember(body: string, shape: ModelShape): Promise<Member> {
  const session = await openSession(body);
  const caches = new Map<number, KvCache>();
  const cacheOutputs = session.outputNames.filter((name) => name.startsWith("new."));
  return {
    async append({ sequence, start, tokens, rows, taps }) {
      const cache = caches.get(sequence) ?? createKvCache(shape);
      caches.set(sequence, cache);
      const states =
        rows === 0 ? [] : [GRAPH_PORTS.hidden, ...taps.map((layer) => GRAPH_PORTS.residual(layer))];
      const feeds = {
        ...cache.feeds(),
        [GRAPH_PORTS.tokens]: new Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
        [GRAPH_PORTS.pastLength]: new Tensor("int64", BigInt64Array.of(BigInt(start)), [1]),
      };
      const results = await session.run(feeds, [...cacheOutputs, ...states]);
      cache.store(start, tokens.length, results);
      const [hidden = new Float32Array(0), ...residuals] = states.map((name) =>
        lastRows(results[name], rows * shape.width),
      );
      return { hidden, taps: residuals };
    },
    forget: (sequence) => void caches.delete(sequence),
    release: () => session.release(),
  };
}

/** The last `count` numbers of a result, as an array that can be handed over. */
function lastRows(result: Tensor | undefined, count: number): Float32Array<ArrayBuffer> {
  const values = result?.data as Float32Array<ArrayBuffer>;
  return values.slice(values.length - count);
}

let head: Promise<InferenceSession> | null = null;

async function decode({ states, rows }: DecodeRequest): Promise<DecodeResult> {
  if (setup.head === null) throw new Error("member-worker: asked to decode, but it has no head");
  head ??= openSession(setup.head);
  const session = await head;
  const input = new Tensor("float32", states, [rows, states.length / rows]);
  const { [GRAPH_PORTS.logits]: logits } = await session.run({ [GRAPH_PORTS.states]: input });
  return { logits: logits?.data as Float32Array<ArrayBuffer> };
}

const { member: files, encoder } = setup;
const member =
  files === null ? null : await computeWithin(setup.gate, () => openMember(files.body, files.shape));
const encoderSession =
  encoder === null ? null : await computeWithin(setup.gate, () => openSession(encoder.graph));

async function answer(request: Request): Promise<Result> {
  if (request.kind === "decode") return decode(request);
  if (request.kind === "encode") {
    if (encoder === null || encoderSession === null) {
      throw new Error("member-worker: asked to encode texts, but it has no encoder");
    }
    return encodeTexts(encoderSession, encoder, request);
  }
  if (member === null) throw new Error("member-worker: asked to read tokens, but it has no member");
  return member.append(request);
}

function arraysOf(result: Result): readonly Float32Array<ArrayBuffer>[] {
  if ("logits" in result) return [result.logits];
  return "pooled" in result ? result.pooled : [result.hidden, ...result.taps];
}

function send(message: FromWorker, transfer: readonly ArrayBuffer[] = []): void {
  port?.postMessage(message, [...transfer]);
}

async function handle(message: ToWorker): Promise<void> {
  if ("id" in message) {
    const { id } = message;
    try {
      const result = await computeWithin(setup.gate, () => answer(message.request));
      send(
        { kind: "result", id, result },
        arraysOf(result).map((array) => array.buffer),
      );
    } catch (error) {
      send({ kind: "failure", id, message: error instanceof Error ? error.message : String(error) });
    }
  } else if (message.kind === "forget") {
    member?.forget(message.sequence);
  } else {
    await member?.release();
    await (await head)?.release();
    await encoderSession?.release();
    port?.close();
  }
}

let last = Promise.resolve();
port.on("message", (message: ToWorker) => {
  last = last.then(() => handle(message));
});
send({ kind: "ready" });
