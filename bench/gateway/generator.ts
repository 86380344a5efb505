import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { Pool } from "undici";
import { answerRequests } from "../harness/script.ts";

/** Where requests go: the same one every time. */
export interface Target {
  /** `http://127.0.0.1:8080` */
  readonly origin: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** So many requests are always open. */
export interface ClosedLoad {
  readonly target: Target;
  readonly connections: number;
  readonly seconds: number;
}

/** Requests are due at fixed times, whatever became of those before them. */
export interface OpenLoad {
  readonly target: Target;
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  /** Of a request from its start, or from when it was due, to the last byte of its answer. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How late after they were due 99 of 100 requests were sent: the generator's own error. */
  readonly lateP99Ms: number;
}

/** Requests that may be open at a constant rate: more means that the target cannot keep up. */
const MOST_OPEN = 512;
/** Timers are a millisecond coarse: the last stretch is waited for awake. */
const AWAKE_MS = 3;

async function send(pool: Pool, { path, headers, body }: Target): Promise<void> {
  const response = await pool.request({ path, method: "POST", headers, body });
  const text = await response.body.text();
  if (response.statusCode !== 200) {
    throw new Error(`expected status 200, got ${response.statusCode}: ${text.slice(0, 300)}`);
  }
}

async function closedLoop({ target, connections, seconds }: ClosedLoad): Promise<LoadResult> {
  const pool = new Pool(target.origin, { connections, pipelining: 1 });
  const latencies = createHistogram();
  const start = performance.now();
  const end = start + seconds * 1000;
  const work = async (): Promise<void> => {
    for (let sent = performance.now(); sent < end; sent = performance.now()) {
      await send(pool, target);
      record(latencies, performance.now() - sent);
    }
  };
  try {
    await Promise.all(Array.from({ length: connections }, work));
  } finally {
    await pool.destroy();
  }
  return summary(latencies, createHistogram(), performance.now() - start);
}

/**
 * A latency counts from when the request was due, not from when it was sent: a target that stalls delays all that is due
 * meanwhile, and leaving those out would hide it (coordinated omission).
 */
async function openLoop({ target, rate, seconds }: OpenLoad): Promise<LoadResult> {
  const pool = new Pool(target.origin, { connections: MOST_OPEN, pipelining: 1 });
  const latencies = createHistogram();
  const lateness = createHistogram();
  const total = Math.round(rate * seconds);
  const open = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const start = performance.now();
  const dueOf = (index: number): number => start + (index * 1000) / rate;
  const one = async (due: number): Promise<void> => {
    try {
      await send(pool, target);
      record(latencies, performance.now() - due);
    } catch (error) {
      failures.push(error);
    }
  };
  try {
    for (let index = 0; index < total && failures.length === 0;) {
      const due = dueOf(index);
      const left = due - performance.now();
      if (left > 0) {
        await (left > AWAKE_MS ? sleep(left - AWAKE_MS) : immediate());
        continue;
      }
      if (open.size >= MOST_OPEN) {
        throw new Error(`the target cannot keep up with ${rate} requests/s: ${MOST_OPEN} are open`);
      }
      record(lateness, -left);
      const request = one(due);
      open.add(request);
      void request.then(() => open.delete(request));
      index++;
    }
    await Promise.all(open);
    if (failures.length > 0) throw failures[0];
  } finally {
    await pool.destroy();
  }
  return summary(latencies, lateness, performance.now() - start);
}

/** A histogram counts whole numbers: nanoseconds. */
function record(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.max(1, Math.round(ms * 1e6)));
}

function summary(
  latencies: RecordableHistogram,
  lateness: RecordableHistogram,
  elapsedMs: number,
): LoadResult {
  const requests = latencies.count;
  if (requests === 0) throw new Error("no request was answered in time");
  return {
    requests,
    perSecond: requests / (elapsedMs / 1000),
    p50Ms: latencies.percentile(50) / 1e6,
    p99Ms: latencies.percentile(99) / 1e6,
    lateP99Ms: lateness.count === 0 ? 0 : lateness.percentile(99) / 1e6,
  };
}

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

const immediate = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

answerRequests({ closedLoop, openLoop });
