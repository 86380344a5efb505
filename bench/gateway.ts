import {
  DIRECT,
  LITELLM,
  LITELLM_VERSION,
  OURS,
  OURS_UNLOGGED,
  PORTKEY,
  PORTKEY_VERSION,
  startDirect,
  startLitellm,
  startOurs,
  startPortkey,
  type GatewayContender,
} from "./gateway/contenders.ts";
import type { ClosedLoad, LoadResult, OpenLoad } from "./gateway/generator.ts";
import { memoryOf, timeOf } from "./harness/load.ts";
import { startScript } from "./harness/script.ts";
import { medianOf, spreadOf, valuesOf } from "./harness/summary.ts";
import type { BenchContext, Claim, Reading, Row, SuiteResult } from "./harness/suite.ts";
import { takeTurns, type Turn } from "./harness/turns.ts";

export const name = "gateway";
export const description = "what the HTTP path costs, against Portkey and LiteLLM, all loopback";

const CONNECTIONS = 10;
/** Requests a second that every contender should keep up with. */
const LOW_RATE = 100;
const HIGH_RATE = 1000;
/** A contender is asked for a rate only where it reached so much more with 10 connections. */
const HEADROOM = 1.2;

const CLOSED = `${CONNECTIONS} connections`;
const throughput = `${CLOSED}: requests`;
/** Means something on a busy machine too. */
const computed = `${CLOSED}: computed for a request`;

interface Rig {
  readonly context: BenchContext;
  readonly contenders: readonly GatewayContender[];
  /** Seconds of one measurement, and of what comes before it unmeasured. */
  readonly seconds: number;
  readonly warmSeconds: number;
  closedLoop(contender: GatewayContender, seconds: number): Promise<LoadResult>;
  openLoop(contender: GatewayContender, rate: number, seconds: number): Promise<LoadResult>;
}

export async function run(context: BenchContext): Promise<SuiteResult> {
  const rig = await openRig(context);
  const closed = await takeTurns(
    context,
    `gateway, ${CLOSED}`,
    rig.contenders.map((c) => closedTurn(rig, c)),
  );
  const ours = medianOf(closed, throughput, OURS);
  const rates = [LOW_RATE, Math.max(1, Math.floor(Math.min(HIGH_RATE, ours / 2)))];
  const open: Row[] = [];
  const lateness: number[] = [];
  for (const rate of rates) {
    const turns = rig.contenders.map((c) => {
      const enough = medianOf(closed, throughput, c.name) >= HEADROOM * rate;
      return openTurn(rig, c, rate, enough, lateness);
    });
    const rows = await takeTurns(context, `gateway, ${rate} requests/s`, turns);
    open.push(...rows, ...addedRows(rows, rate));
  }
  return {
    rows: [...closed, ...open],
    claims: claimsOf([...closed, ...open], rates.at(-1) ?? HIGH_RATE, context.peers),
    notes: [
      `${OURS}: the product's server, gateway and log (a SQLite file) with an engine that answers at once; "${OURS_UNLOGGED}": the same without the log. ${DIRECT}: the instant upstream that the peers stand in front of, asked directly: what the rig itself costs.`,
      ...(context.peers
        ? [
            `${PORTKEY} and ${LITELLM} (one worker) forward to the instant upstream; on few cores that upstream and the generator take a part of their machine, and the generator alone a part of ours.`,
          ]
        : []),
      `Each measurement lasts ${rig.seconds} s, after ${rig.warmSeconds} s unmeasured. At a constant rate a latency counts from when the request was due, so that a stall is not hidden; 99 of 100 requests were sent within ${Math.max(0, ...lateness).toFixed(2)} ms of it. Added: less the same percentile of ${DIRECT} in the same round. "–": cannot keep up with the rate. A single failed request voids the run.`,
    ],
    versions: context.peers ? { [PORTKEY]: PORTKEY_VERSION, [LITELLM]: LITELLM_VERSION } : {},
  };
}

async function openRig(context: BenchContext): Promise<Rig> {
  const { children, signal, quick, peers } = context;
  const generator = startScript(children, {
    name: "the load generator",
    module: new URL("./gateway/generator.ts", import.meta.url),
    signal,
  });
  const contenders = [await startOurs(context, true), await startOurs(context, false)];
  const direct = await startDirect(context);
  if (peers) {
    contenders.push(await startPortkey(context, direct.target.origin));
    contenders.push(await startLitellm(context, direct.target.origin));
  }
  return {
    context,
    contenders: [...contenders, direct],
    seconds: quick ? 0.5 : 5,
    warmSeconds: quick ? 0.2 : 1,
    closedLoop: ({ target }, seconds) =>
      generator.ask("closedLoop", { target, connections: CONNECTIONS, seconds } satisfies ClosedLoad),
    openLoop: ({ target }, rate, seconds) =>
      generator.ask("openLoop", { target, rate, seconds } satisfies OpenLoad),
  };
}

function closedTurn(rig: Rig, contender: GatewayContender): Turn {
  return {
    contender: contender.name,
    reference: isReference(contender),
    async run() {
      await naming(contender, rig.closedLoop(contender, rig.warmSeconds));
      const before = timeOf(contender.pid);
      const result = await naming(contender, rig.closedLoop(contender, rig.seconds));
      const after = timeOf(contender.pid);
      const memory = memoryOf(contender.pid);
      return [
        { what: throughput, unit: "1/s", better: "higher", value: result.perSecond },
        ...latencies(CLOSED, result),
        ...(before === null || after === null
          ? []
          : [reading(computed, "ms CPU", (after - before) / result.requests)]),
        ...(memory === null ? [] : [reading(`${CLOSED}: memory after them`, "MB RSS", memory.rss / 1e6)]),
      ];
    },
  };
}

function openTurn(
  rig: Rig,
  contender: GatewayContender,
  rate: number,
  keepsUp: boolean,
  lateness: number[],
): Turn {
  const label = `${rate} requests/s`;
  return {
    contender: contender.name,
    reference: isReference(contender),
    async run() {
      if (!keepsUp) return latencies(label, { p50Ms: Number.NaN, p99Ms: Number.NaN });
      await naming(contender, rig.openLoop(contender, rate, rig.warmSeconds));
      const result = await naming(contender, rig.openLoop(contender, rate, rig.seconds));
      lateness.push(result.lateP99Ms);
      return latencies(label, result);
    },
  };
}

/** Ratios are to gateways of others. */
const isReference = ({ name: contender }: GatewayContender): true | undefined =>
  contender === DIRECT || contender === OURS_UNLOGGED ? true : undefined;

function latencies(label: string, { p50Ms, p99Ms }: Pick<LoadResult, "p50Ms" | "p99Ms">): Reading[] {
  return [reading(`${label}: p50`, "ms", p50Ms), reading(`${label}: p99`, "ms", p99Ms)];
}

/** Of which less is better. */
const reading = (what: string, unit: string, value: number): Reading => ({
  what,
  unit,
  better: "lower",
  value,
});

/** What each contender adds to the rig's own latency, round by round. */
function addedRows(rows: readonly Row[], rate: number): Row[] {
  return rows.map(({ what, unit, better, samples }) => {
    const floor = valuesOf(rows, what, DIRECT);
    const gateways = samples.filter(({ contender }) => contender !== DIRECT);
    return {
      what: `${rate} requests/s: added ${what.endsWith("p99") ? "p99" : "p50"}`,
      unit,
      better,
      samples: gateways.map(({ contender, reference, values, loads }) => {
        const added = values.map((value, round) => value - (floor[round] ?? Number.NaN));
        return { contender, reference, values: added, loads };
      }),
    };
  });
}

function claimsOf(rows: readonly Row[], rate: number, peers: boolean): Claim[] {
  const added = valuesOf(rows, `${rate} requests/s: added p99`, OURS);
  const claims: Claim[] = [
    {
      what: `added p99 at ${rate} requests/s (1,000 or half of our maximum), logged, ms`,
      value: spreadOf(added).median,
      limit: 1,
      bound: "at most",
    },
  ];
  if (!peers) return claims;
  const ratio = medianOf(rows, throughput, OURS) / medianOf(rows, throughput, PORTKEY);
  return [
    { what: `requests/s, logged, ÷ ${PORTKEY}, ${CLOSED}`, value: ratio, limit: 5, bound: "at least" },
    ...claims,
  ];
}

/** A failure says whose it is. */
async function naming<T>({ name: contender, child }: GatewayContender, work: Promise<T>): Promise<T> {
  try {
    return await Promise.race([work, child.failed]);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${contender}: ${reason}`, { cause });
  }
}
