import { rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { createSqliteAgreementLog } from "../adapters/sqlite/better-sqlite3.ts";
import { createObservationReader } from "../adapters/sqlite/observation-reader.ts";
import { openDatabase } from "../adapters/sqlite/open-database.ts";
import { createRandom } from "../src/linalg/random.ts";
import type { AgreementLog, LogRecord } from "../src/ports/agreement-log.ts";
import type { AnswerTrace } from "../src/ports/answer-trace.ts";
import type { Observations } from "../src/ports/observations.ts";
import type { Progress } from "../src/ports/progress.ts";
import { fillLog } from "./log/fill-log.ts";

export const name = "log";
export const description =
  "the log with 10 million answers: adding one, alone and beside reads, and each read";

/** What this suite needs of a run. */
interface Context {
  readonly quick: boolean;
  readonly rounds: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly scratch: string;
}

interface Row {
  readonly what: string;
  readonly unit: string;
  readonly better: "lower";
  readonly samples: readonly [
    { readonly contender: string; readonly values: readonly number[]; readonly loads: [] },
  ];
}

const MANY = 10_000_000;
const FEW = 20_000;
/** Of a filled log, with room for the write-ahead log and what making an index needs. */
const BYTES_EACH = 1000;
const ADDED = 3000;
const ADDED_EVERY_MS = 4;
const HOUR_MS = 3_600_000;
const SPAN_MS = 90 * 24 * HOUR_MS;
const END = Date.UTC(2026, 8, 1);
const SLOWEST_INSERT_MS = 2;
const SLOWEST_READ_MS = 500;

/** Fills a log, then adds answers and reads it. `CONCORD_BENCH_ANSWERS` says how many it is filled with. */
export async function run({ quick, rounds, progress, signal, scratch }: Context) {
  const answers = quick ? FEW : Number(process.env["CONCORD_BENCH_ANSWERS"] ?? MANY);
  const path = join(scratch, "log.sqlite");
  checkDisk(scratch, answers * BYTES_EACH);
  progress.stage(`log, ${answers} answers`, answers, "steps");
  fillLog(path, {
    answers,
    seed: 1,
    end: END,
    spanMs: SPAN_MS,
    signal,
    onProgress: (done) => progress.update(done),
  });
  const bytes = statSync(path).size / answers;

  const log = createSqliteAgreementLog(openDatabase(path));
  const reader = createObservationReader(path, { timeoutMs: 60_000 });
  const adding = createAdder(log);
  try {
    const reads = readsOf(reader);
    progress.stage("log, reads", rounds * reads.length, "steps");
    const times = new Map<string, number[]>();
    for (let round = 0; round < rounds; round++) {
      for (const [at, [what, read]] of reads.entries()) {
        signal.throwIfAborted();
        const before = performance.now();
        await read();
        times.set(what, [...(times.get(what) ?? []), performance.now() - before]);
        progress.update(round * reads.length + at + 1);
      }
    }
    progress.stage("log, adding answers", 2 * ADDED, "steps");
    const alone = await adding.add(ADDED, signal);
    progress.update(ADDED);
    const stop = readOn(reads.map(([, read]) => read));
    const beside = await adding.add(ADDED, signal);
    const readMeanwhile = await stop();
    progress.finish();
    const [aloneP99, besideP99] = [percentile(alone, 0.99), percentile(beside, 0.99)];
    const slowest = Math.max(...[...times.values()].flat());
    return {
      rows: [
        row("size of an answer", "bytes", [bytes]),
        row("adding an answer, alone: p50", "ms", [percentile(alone, 0.5)]),
        row("adding an answer, alone: p99", "ms", [aloneP99]),
        row("adding an answer beside reads: p50", "ms", [percentile(beside, 0.5)]),
        row("adding an answer beside reads: p99", "ms", [besideP99]),
        ...[...times].map(([what, values]) => row(what, "ms", values)),
      ],
      claims: [
        claim("adding an answer beside reads, p99, ms", besideP99, SLOWEST_INSERT_MS),
        claim("the slowest read, ms", slowest, SLOWEST_READ_MS),
      ],
      notes: [
        `${answers} answers over 90 days, made up with seed 1: ${bytes.toFixed(0)} bytes each with indexes, rollups and a trace without text. Then ${ADDED} are added, one every ${ADDED_EVERY_MS} ms, alone and while the reads below go on without a pause (${readMeanwhile} of them).`,
      ],
      versions: {},
    };
  } finally {
    await reader.close();
    await log.close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
  }
}

/** What pages of a dashboard ask. */
function readsOf(observations: Observations): readonly (readonly [string, () => Promise<unknown>])[] {
  const all = { from: END - SPAN_MS, to: END };
  const month = { from: END - 30 * 24 * HOUR_MS, to: END };
  const day = { from: END - 24 * HOUR_MS, to: END };
  const hour = { from: END - HOUR_MS, to: END };
  const page = { limit: 50 } as const;
  return [
    ["windows: 90 days by day", () => observations.windows(all, 24 * HOUR_MS)],
    ["windows: 30 days by hour", () => observations.windows(month, HOUR_MS)],
    ["windows: a day by 5 minutes", () => observations.windows(day, HOUR_MS / 12)],
    ["windows: an hour by minute", () => observations.windows(hour, HOUR_MS / 60)],
    [
      "windows: 90 days, one experiment",
      () => observations.windows(all, 24 * HOUR_MS, { experiment: "fit" }),
    ],
    [
      "windows: 90 days, divergence 0.4 (a sample)",
      () => observations.windows(all, 24 * HOUR_MS, { minDivergence: 0.4 }),
    ],
    [
      "windows: an hour, one member",
      () => observations.windows(hour, HOUR_MS / 60, { member: "gemma-3-270m" }),
    ],
    ["answers: newest", () => observations.answers({ ...page, range: all, order: "time" })],
    [
      "answers: most disagreed of 90 days",
      () => observations.answers({ ...page, range: all, order: "disagreement" }),
    ],
    [
      "answers: most disagreed of a day",
      () => observations.answers({ ...page, range: day, order: "disagreement" }),
    ],
    [
      "answers: most disagreed of an hour",
      () => observations.answers({ ...page, range: hour, order: "disagreement" }),
    ],
    [
      "answers: newest degraded",
      () => observations.answers({ ...page, range: all, order: "time", filter: { degraded: true } }),
    ],
    [
      "answers: most disagreed, confidence under 0.31",
      () =>
        observations.answers({ ...page, range: all, order: "disagreement", filter: { maxConfidence: 0.31 } }),
    ],
    [
      "answers: newest of an experiment that is none",
      () => observations.answers({ ...page, range: all, order: "time", filter: { experiment: "none" } }),
    ],
    ["answers: one, with its trace", () => oneAnswer(observations)],
    ["size", () => observations.size()],
  ];
}

async function oneAnswer(observations: Observations): Promise<void> {
  const { answers } = await observations.answers({
    range: { from: END - SPAN_MS, to: END - SPAN_MS / 2 },
    order: "time",
    limit: 1,
  });
  const [first] = answers;
  if (first === undefined || (await observations.answer(first.requestId)) === null) {
    throw new Error("bench log: expected an answer in the middle of the log, got none");
  }
}

/** Reads one after the other until told to stop; then tells how many it were. */
function readOn(reads: readonly (() => Promise<unknown>)[]): () => Promise<number> {
  let stopped = false;
  const reading = (async () => {
    for (let done = 0; ; done++) {
      if (stopped) return done;
      await reads[done % reads.length]?.();
    }
  })();
  return () => {
    stopped = true;
    return reading;
  };
}

/** Adds answers as the gateway does. */
function createAdder(log: AgreementLog) {
  const random = createRandom(2).next;
  let added = 0;
  return {
    /** Milliseconds that each took. */
    async add(count: number, signal: AbortSignal): Promise<number[]> {
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
        signal.throwIfAborted();
        const record = madeUp(added++, random);
        const trace = traceOf(record, random);
        const before = performance.now();
        await log.append(record, trace);
        times.push(performance.now() - before);
        await new Promise((resolve) => {
          setTimeout(resolve, ADDED_EVERY_MS);
        });
      }
      return times;
    },
  };
}

function madeUp(index: number, random: () => number): LogRecord {
  const requestId = `chatcmpl-${crypto.randomUUID()}`;
  return {
    requestId,
    createdAt: END + index * ADDED_EVERY_MS,
    endpoint: "chat.completions",
    model: "concord",
    promptTokens: 30,
    completionTokens: 64,
    finishReason: "stop",
    latencyMs: 500 + 500 * random(),
    firstTokenMs: 50 + 50 * random(),
    report: {
      requestId,
      answeredBy: "concord",
      agreement: {
        positions: 64,
        jsDivergence: 0.65 * random() * random(),
        top1Agreement: random(),
        stateDistance: random(),
      },
      members: ["smollm2-135m-instruct", "gemma-3-270m"].map((id) => ({
        id,
        weight: random(),
        bitsPerByte: random(),
        top1Agreement: random(),
        entropy: random(),
        latencyMs: 400 * random(),
      })),
      bitsPerByte: random(),
      entropy: random(),
    },
    confidence: null,
    experiment: null,
    text: null,
  };
}

function traceOf({ report, completionTokens }: LogRecord, random: () => number): AnswerTrace {
  return {
    members: report.members.map(({ id }) => id),
    positions: Array.from({ length: completionTokens }, () => ({
      divergence: 0.6 * random(),
      logprob: -5 * random(),
      weights: [random(), random()],
    })),
    tokens: null,
  };
}

function percentile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))] ?? Number.NaN;
}

function row(what: string, unit: string, values: readonly number[]): Row {
  return { what, unit, better: "lower", samples: [{ contender: "concord", values, loads: [] }] };
}

function claim(what: string, value: number, limit: number) {
  return { what, value, limit, bound: "at most" as const };
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

function checkDisk(folder: string, needed: number): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= needed) return;
  throw new Error(
    `bench log: expected ${gigabytes(needed)} free in ${folder}, got ${gigabytes(bavail * bsize)}; ask for fewer answers with CONCORD_BENCH_ANSWERS`,
  );
}
