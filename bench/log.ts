import { rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { startServer } from "../adapters/node/server.ts";
import { createSqliteAgreementLog, createSqliteExperimentStore } from "../adapters/sqlite/better-sqlite3.ts";
import { createObservationReader } from "../adapters/sqlite/observation-reader.ts";
import { openDatabase } from "../adapters/sqlite/open-database.ts";
import { createDashboard } from "../src/dashboard/app.tsx";
import { createExperiments } from "../src/experiments/experiments.ts";
import { createRandom } from "../src/linalg/random.ts";
import type { AgreementLog, LogRecord } from "../src/ports/agreement-log.ts";
import type { AnswerTrace } from "../src/ports/answer-trace.ts";
import type { Observations } from "../src/ports/observations.ts";
import type { Progress } from "../src/ports/progress.ts";
import { FILLED_EXPERIMENT, fillAround } from "./log/fill-around.ts";
import { fillLog } from "./log/fill-log.ts";

export const name = "log";
export const description =
  "the log with 10 million answers: adding one, alone and while pages load, and each page of the dashboard";

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
const AROUND = { seed: 5, exposures: 20_000, judged: 20_000, similarityWindows: 500, alerts: 1000 };
const SLOWEST_INSERT_MS = 2;
const SLOWEST_PAGE_MS = 500;

/** Fills a log, adds answers to it and asks a dashboard over HTTP. `CONCORD_BENCH_ANSWERS` says how many it is filled with. */
export async function run({ quick, rounds, progress, signal, scratch }: Context) {
  const answers = quick ? FEW : Number(process.env["CONCORD_BENCH_ANSWERS"] ?? MANY);
  const path = join(scratch, "log.sqlite");
  checkDisk(scratch, answers * BYTES_EACH);
  progress.stage(`log, ${answers} answers`, answers, "answers");
  fillLog(path, {
    answers,
    seed: 1,
    end: END,
    spanMs: SPAN_MS,
    signal,
    onProgress: (done) => progress.update(done),
  });
  const bytes = statSync(path).size / answers;
  await fillAround(path, AROUND);

  const opening = performance.now();
  const database = openDatabase(path);
  const opened = performance.now() - opening;
  const log = createSqliteAgreementLog(database);
  const reader = createObservationReader(path, { timeoutMs: 60_000 });
  const clock = { now: () => END, monotonic: () => performance.now() };
  const store = createSqliteExperimentStore(database);
  const experiments = await createExperiments({ store, models: () => ["concord"], clock });
  const app = createDashboard({ observations: reader, experiments, clock });
  const server = await startServer({ app, host: "127.0.0.1", port: 0 });
  const adding = createAdder(log);
  const ask = async (page: string): Promise<void> => {
    const response = await fetch(`${server.url}${page}`);
    const body = await response.text();
    if (!response.ok)
      throw new Error(`bench log: expected the page ${page}, got ${response.status}: ${body}`);
  };
  try {
    const pages = [...PAGES, `/requests/${await anAnswer(reader)}`];
    progress.stage("log, pages", rounds * pages.length, "steps");
    const times = new Map<string, number[]>();
    for (let round = 0; round < rounds; round++) {
      for (const [at, page] of pages.entries()) {
        signal.throwIfAborted();
        const before = performance.now();
        await ask(page);
        times.set(page, [...(times.get(page) ?? []), performance.now() - before]);
        progress.update(round * pages.length + at + 1);
      }
    }
    progress.stage("log, adding answers", 2 * ADDED, "answers");
    const alone = await adding.add(ADDED, signal);
    progress.update(ADDED);
    const stop = askOn(pages, ask);
    const beside = await adding.add(ADDED, signal);
    const asked = await stop();
    progress.finish();
    const [aloneP99, besideP99] = [percentile(alone, 0.99), percentile(beside, 0.99)];
    const slowest = Math.max(...[...times.values()].flat());
    return {
      rows: [
        row("size of an answer", "bytes", [bytes]),
        row("opening the log", "ms", [opened]),
        row("adding an answer, alone: p50", "ms", [percentile(alone, 0.5)]),
        row("adding an answer, alone: p99", "ms", [aloneP99]),
        row("adding an answer while pages load: p50", "ms", [percentile(beside, 0.5)]),
        row("adding an answer while pages load: p99", "ms", [besideP99]),
        ...[...times].map(([page, values]) => row(pageName(page), "ms", values)),
      ],
      claims: [
        claim("adding an answer while pages load, p99, ms", besideP99, SLOWEST_INSERT_MS),
        claim("the slowest page, ms", slowest, SLOWEST_PAGE_MS),
      ],
      notes: [
        `${answers} answers over 90 days, made up with seed 1: ${bytes.toFixed(0)} bytes each with indexes, rollups and a trace without text. Beside them ${AROUND.exposures} exposures, ${AROUND.exposures + AROUND.judged} judgements, ${AROUND.similarityWindows} windows of layers' similarities, ${AROUND.alerts} alerts. Pages are asked over HTTP, one after the other. Then ${ADDED} answers are added, one every ${ADDED_EVERY_MS} ms, alone and while pages load without a pause (${asked} of them).`,
      ],
      versions: {},
    };
  } finally {
    await server.close();
    await reader.close();
    await log.close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
  }
}

const RANGES = ["1h", "24h", "7d", "30d", "90d"];
const ranged = (page: string): string[] => RANGES.map((range) => `${page}?range=${range}`);

/** Every page of the dashboard, with ranges, orders and filters that cost most. */
const PAGES = [
  ...ranged("/"),
  ...ranged("/disagreement"),
  "/disagreement?range=90d&min_divergence=0.4",
  "/disagreement?range=90d&member=gemma-3-270m",
  "/disagreement?range=90d&degraded=true",
  `/disagreement?range=90d&experiment=${FILLED_EXPERIMENT}&arm=new`,
  ...ranged("/requests"),
  "/requests?range=90d&order=disagreement",
  "/requests?range=1h&order=disagreement",
  "/requests?range=90d&max_confidence=0.31",
  "/requests?range=90d&experiment=none",
  ...ranged("/layers"),
  ...ranged("/confidence"),
  "/experiments",
  `/experiments/${FILLED_EXPERIMENT}`,
  "/probes",
  ...ranged("/alerts"),
];

const pageName = (page: string): string => (page.startsWith("/requests/") ? "/requests/ID" : page);

/** The id of an answer in the middle of the log. */
async function anAnswer(observations: Observations): Promise<string> {
  const range = { from: END - SPAN_MS, to: END - SPAN_MS / 2 };
  const [first] = (await observations.answers({ range, order: "time", limit: 1 })).answers;
  if (first === undefined)
    throw new Error("bench log: expected an answer in the middle of the log, got none");
  return first.requestId;
}

/** Asks for one page after the other until told to stop; then tells how many it were. */
function askOn(pages: readonly string[], ask: (page: string) => Promise<void>): () => Promise<number> {
  let stopped = false;
  const asking = (async () => {
    for (let done = 0; ; done++) {
      if (stopped) return done;
      await ask(pages[done % pages.length] ?? "/");
    }
  })();
  return () => {
    stopped = true;
    return asking;
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
