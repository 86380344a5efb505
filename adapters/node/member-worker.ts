import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { GRAPH_PORTS } from "../../src/weights/graph-ports.ts";
import { createBatchReader } from "./batch-reader.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { computeWithin } from "./compute-gate.ts";
import { createFusionRunner, FUSED_AT_ONCE } from "./fusion-runner.ts";
import { encodeTexts } from "./encode-texts.ts";
import { openNativeSession } from "./native-session.ts";
import type {
  Ask,
  DecodeRequest,
  DecodeResult,
  FromWorker,
  FuseRequest,
  EncodeRequest,
  EncodeResult,
  Result,
  ToWorker,
  WorkerSetup,
} from "./worker-messages.ts";

/*
 * One model on a thread of its own: onnxruntime computes on the thread that asks. Tokens of several sequences are read
 * together where they can be; other requests are answered in order, one between two runs of the member's graph.
 */

const setup = workerData as WorkerSetup;
const port = parentPort;
if (port === null) throw new Error("member-worker: expected to run as a worker thread");

function openSession(path: string): Promise<InferenceSession> {
  return InferenceSession.create(path, {
    executionProviders: setup.provider === "cpu" ? ["cpu"] : [setup.provider, "cpu"],
    intraOpNumThreads: setup.threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    // Plans are remembered for each shape of the inputs, and the shapes here never stop changing.
    enableMemPattern: false,
    // Idle threads that spin would take the cores from the other members.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
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

const { member: files, encoder, threads, provider } = setup;
const reader =
  files === null
    ? null
    : await computeWithin(setup.gate, async () =>
        createBatchReader(
          openNativeSession({ path: files.body, threads, provider }),
          files.shape,
          files.prefixBytes,
        ),
      );
const { fusion } = setup;
const fusionSession =
  fusion === null
    ? null
    : await computeWithin(setup.gate, async () =>
        openNativeSession({ path: fusion.graph, threads, provider }),
      );
const fuse = fusion && fusionSession && createFusionRunner(fusionSession, fusion);
const encoderSession =
  encoder === null ? null : await computeWithin(setup.gate, () => openSession(encoder.graph));

async function encode(request: EncodeRequest): Promise<EncodeResult> {
  if (encoder === null || encoderSession === null) {
    throw new Error("member-worker: asked to encode texts, but it has no encoder");
  }
  return encodeTexts(encoderSession, encoder, request);
}

function arraysOf(result: Result): readonly Float32Array<ArrayBuffer>[] {
  if ("logits" in result) return [result.logits];
  if ("rows" in result) return [];
  return "pooled" in result ? result.pooled : [result.hidden, ...result.taps];
}

let outbox: FromWorker[] = [];
let handedOver: ArrayBuffer[] = [];

function send(message: FromWorker, transfer: readonly ArrayBuffer[] = []): void {
  outbox.push(message);
  handedOver.push(...transfer);
}

/** Sends what there is to say, in one message. */
function flush(): void {
  if (outbox.length === 0) return;
  port?.postMessage(outbox, handedOver);
  outbox = [];
  handedOver = [];
}

function finish(id: number, result: Result): void {
  send(
    { kind: "result", id, result },
    arraysOf(result).map((array) => array.buffer),
  );
}

function fail(id: number, error: unknown): void {
  send({ kind: "failure", id, message: error instanceof Error ? error.message : String(error) });
}

interface Fusing {
  readonly id: number;
  readonly positions: FuseRequest["positions"];
  readonly cameAt: number;
}
/** Positions to fuse, in their order. */
let fusing: Fusing[] = [];
/** The last run's positions, and how long it took, milliseconds. */
let lastFused = { count: 0, tookMs: 0 };
/** Of the last run's time, what the first waits for as many as there were then: their members answered them together. */
const FUSE_PATIENCE = 0.25;

/** How long the next run had better wait for others, milliseconds. */
function fusePauseMs(): number {
  const [first] = fusing;
  const count = fusing.reduce((sum, { positions }) => sum + positions.length, 0);
  if (first === undefined || count >= lastFused.count) return 0;
  return Math.max(0, first.cameAt + FUSE_PATIENCE * lastFused.tookMs - performance.now());
}

/** Fuses what waits of several answers in one run. */
function fuseWaiting(): void {
  let count = 0;
  const taken = fusing.filter(({ positions }, i) => {
    count += positions.length;
    return i === 0 || count <= FUSED_AT_ONCE;
  });
  fusing = fusing.slice(taken.length);
  try {
    if (fuse === null) {
      throw new Error("member-worker: asked to fuse, but it has no fusion graph");
    }
    const positions = taken.flatMap((one) => one.positions);
    const startedAt = performance.now();
    const rows = fuse(positions);
    lastFused = { count: positions.length, tookMs: performance.now() - startedAt };
    let first = 0;
    for (const { id, positions: own } of taken) {
      finish(id, { rows: rows.slice(first, first + own.length) });
      first += own.length;
    }
  } catch (error) {
    for (const { id } of taken) fail(id, error);
  }
}

/** Requests that are neither, in their order. */
const others: (() => Promise<void>)[] = [];
let closing = false;

function take(messages: readonly ToWorker[]): void {
  for (const message of messages) {
    if ("id" in message) takeRequest(message);
    else if (message.kind === "forget") reader?.forget(message.sequence);
    else closing = true;
  }
}

function takeRequest({ id, request }: Ask): void {
  if (request.kind === "append") {
    if (reader === null)
      return fail(id, new Error("member-worker: asked to read tokens, but it has no member"));
    return reader.add({
      request,
      finish: (result) => finish(id, result),
      fail: (error) => fail(id, error),
    });
  }
  if (request.kind === "fuse") {
    return void fusing.push({ id, positions: request.positions, cameAt: performance.now() });
  }
  others.push(() =>
    (request.kind === "decode" ? decode(request) : encode(request)).then(
      (result: Result) => finish(id, result),
      (error: unknown) => fail(id, error),
    ),
  );
}

/** Takes what has come meanwhile, so that it is read in the next run already. */
function takeAll(from: NonNullable<typeof port>): void {
  for (let next = receiveMessageOnPort(from); next !== undefined; next = receiveMessageOnPort(from)) {
    take(next.message as ToWorker[]);
  }
}

let resume: NodeJS.Timeout | undefined;

async function work(from: NonNullable<typeof port>): Promise<void> {
  clearTimeout(resume);
  for (;;) {
    flush();
    const readsIn = reader?.waiting === true ? reader.pauseMs : Infinity;
    const fusesIn = fusing.length > 0 ? fusePauseMs() : Infinity;
    const pauseMs = others.length > 0 ? 0 : Math.min(readsIn, fusesIn);
    if (pauseMs > 0) {
      if (pauseMs < Infinity) resume = setTimeout(goOn, pauseMs, from);
      return;
    }
    await computeWithin(setup.gate, async () => {
      if (readsIn === 0) reader?.step();
      if (fusesIn === 0) fuseWaiting();
      await others.shift()?.();
    });
    takeAll(from);
  }
}

let released = false;
async function releaseOnce(): Promise<void> {
  if (released) return;
  released = true;
  reader?.release();
  fusionSession?.release();
  await (await head)?.release();
  await encoderSession?.release();
  port?.close();
}

let working = Promise.resolve();
function goOn(from: NonNullable<typeof port>): void {
  working = working.then(() => work(from)).then(() => (closing ? releaseOnce() : undefined));
}
port.on("message", (messages: ToWorker[]) => {
  take(messages);
  takeAll(port);
  goOn(port);
});
collectGarbage();
send({ kind: "ready" });
flush();
