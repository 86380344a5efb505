import {
  anchorWeights,
  engineContenders,
  IN_TURN,
  LLAMA_ANCHOR,
  LLAMA_FOLLOWER,
  LLAMA_VERSION,
  OURS,
  sameCores,
  THREADS,
  type EngineContender,
} from "./engine/contenders.ts";
import type { DecodeTask, PrefillTask, StallTask } from "./engine/measures.ts";
import { openPassages, type Passages } from "./engine/passages.ts";
import { memoryOf } from "./harness/load.ts";
import type { Script } from "./harness/script.ts";
import { medianOf, spreadOf, valuesOf } from "./harness/summary.ts";
import type { BenchContext, Claim, Metric, Reading, Row, SuiteResult } from "./harness/suite.ts";
import { combined, takeTurns, type Turn } from "./harness/turns.ts";

export const name = "engine";
export const description =
  "decoding, prompts, memory and start of both members, against single-model runners";

/** What is measured; `quick` is the smallest that passes through everything. */
interface Plan {
  /** [context, streams] */
  readonly decode: readonly (readonly [number, number])[];
  /** Counted tokens of one stream alone; of several each makes a quarter. */
  readonly tokens: number;
  readonly prompts: readonly number[];
  readonly stall: { readonly streams: number; readonly context: number; readonly prompt: number };
  readonly memory: { readonly streams: number; readonly context: number; readonly restMs: number };
}

const PLAN: Plan = {
  decode: [
    [128, 1],
    [512, 1],
    [2048, 1],
    [128, 4],
    [128, 8],
    [128, 16],
  ],
  tokens: 128,
  prompts: [128, 512, 2048],
  stall: { streams: 4, context: 128, prompt: 2048 },
  memory: { streams: 8, context: 2048, restMs: 5_000 },
};

const QUICK: Plan = {
  decode: [
    [32, 1],
    [32, 2],
  ],
  tokens: 16,
  prompts: [64],
  stall: { streams: 2, context: 32, prompt: 128 },
  memory: { streams: 2, context: 64, restMs: 500 },
};

const SEED = 7;

/** Counted tokens of each of so many streams. */
const tokensOf = ({ tokens }: Plan, streams: number): number => (streams === 1 ? tokens : tokens / 4);

const decodeMetric = (context: number, streams: number): Metric => ({
  what: `decode, context ${context}, ${streams} ${streams === 1 ? "stream" : "streams"}`,
  unit: "tokens/s",
  better: "higher",
});

const promptMetric = (tokens: number): Metric => ({
  what: `prompt of ${tokens} tokens`,
  unit: "tokens/s",
  better: "higher",
});

const firstTokenMetric = (tokens: number): Metric => ({
  what: `prompt of ${tokens} tokens, to the first token`,
  unit: "ms",
  better: "lower",
});

const START: Metric = { what: "start, until the first token", unit: "ms", better: "lower" };
const IDLE: Metric = { what: "memory, idle", unit: "MB RSS", better: "lower" };
const PEAK: Metric = { what: "memory, at its peak", unit: "MB RSS", better: "lower" };
const AFTER: Metric = { what: "memory, idle again", unit: "MB RSS", better: "lower" };

export async function run(context: BenchContext): Promise<SuiteResult> {
  const plan = context.quick ? QUICK : PLAN;
  const contenders = await engineContenders(context);
  const passages = await openPassages(anchorWeights(), SEED);
  const rows = [
    ...(await speedRows(context, plan, contenders, passages)),
    ...(await processRows(context, plan, contenders, passages)),
  ];
  return {
    rows,
    claims: claimsOf(rows, plan, context.peers),
    notes: notesOf(context, plan),
    versions: context.peers ? { "node-llama-cpp": LLAMA_VERSION } : {},
  };
}

/** Measured in processes that stay, each of which is idle while another is measured. */
async function speedRows(
  context: BenchContext,
  plan: Plan,
  contenders: readonly EngineContender[],
  passages: Passages,
): Promise<Row[]> {
  const running = contenders.map(({ name: contender, start }) => ({ contender, script: start() }));
  const rows: Row[] = [];
  const measure = async (
    label: string,
    prepare: () => (script: Script) => Promise<readonly Reading[]>,
  ): Promise<void> => {
    const measures = Array.from({ length: context.rounds }, prepare);
    const turns = running.map(({ contender, script }): Turn => ({
      contender,
      run: async (round) => (await measures[round]?.(script)) ?? [],
    }));
    rows.push(...(await takeTurns(context, label, turns)));
  };
  try {
    context.progress.stage("starting the engines", running.length, "steps");
    for (const [index, { script }] of running.entries()) {
      await warm(script, passages);
      context.progress.update(index + 1);
    }
    for (const [length, streams] of plan.decode) {
      const metric = decodeMetric(length, streams);
      await measure(metric.what, () => {
        const texts = passages.take(length, streams);
        const task: DecodeTask = { texts, promptTokens: length, tokens: tokensOf(plan, streams) };
        return async (script) => [{ ...metric, value: await script.ask<number>("decode", task) }];
      });
    }
    for (const length of plan.prompts) {
      await measure(promptMetric(length).what, () => {
        const [text = ""] = passages.take(length, 1);
        const task: PrefillTask = { text, promptTokens: length };
        return async (script) => {
          const ms = await script.ask<number>("firstToken", task);
          return [
            { ...promptMetric(length), value: (1000 * length) / ms },
            { ...firstTokenMetric(length), value: ms },
          ];
        };
      });
    }
    const metric = stallMetric(plan);
    await measure(metric.what, () => {
      const { streams, context: length, prompt: tokensOfPrompt } = plan.stall;
      const texts = passages.take(length, streams);
      const [prompt = ""] = passages.take(tokensOfPrompt, 1);
      const task: StallTask = {
        texts,
        promptTokens: length,
        tokens: tokensOf(plan, streams),
        prompt,
        tokensOfPrompt,
      };
      return async (script) => [{ ...metric, value: await script.ask<number>("stall", task) }];
    });
  } finally {
    await Promise.all(running.map(({ script }) => script.child.end()));
  }
  return rows.map((row) => {
    if (row.unit === "tokens/s") return bothInTurn(row, (a, b) => 1 / (1 / a + 1 / b));
    return row.unit === "ms" ? bothInTurn(row, (a, b) => a + b) : row;
  });
}

const stallMetric = ({ stall }: Plan): Metric => ({
  what: `longest gap of ${stall.streams} streams while a prompt of ${stall.prompt} tokens is read`,
  unit: "median gaps",
  better: "lower",
});

/** Start and memory, each in a new process. */
async function processRows(
  context: BenchContext,
  plan: Plan,
  contenders: readonly EngineContender[],
  passages: Passages,
): Promise<Row[]> {
  const { streams, context: length, restMs } = plan.memory;
  const turns = contenders.map(({ name: contender, start }): Turn => ({
    contender,
    async run() {
      const begun = performance.now();
      const script = start();
      try {
        await warm(script, passages);
        const startMs = performance.now() - begun;
        await rest(restMs);
        const idle = memoryOf(script.child.pid);
        const task: DecodeTask = {
          texts: passages.take(length, streams),
          promptTokens: length,
          tokens: 1,
        };
        await script.ask<number>("decode", task);
        await rest(restMs);
        const after = memoryOf(script.child.pid);
        if (idle === null || after === null) return [{ ...START, value: startMs }];
        return [
          { ...START, value: startMs },
          { ...IDLE, value: idle.rss / 1e6 },
          { ...PEAK, value: after.peak / 1e6 },
          { ...AFTER, value: after.rss / 1e6 },
        ];
      } finally {
        await script.child.end();
      }
    },
  }));
  const rows = await takeTurns(context, "start and memory", turns);
  return rows.map((row) => bothInTurn(row, (a, b) => a + b));
}

async function warm(script: Script, passages: Passages): Promise<void> {
  const [text = ""] = passages.take(16, 1);
  await script.ask("firstToken", { text, promptTokens: 16 } satisfies PrefillTask);
}

const rest = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

const bothInTurn = (row: Row, combine: (a: number, b: number) => number): Row =>
  IN_TURN.reduce((so, [pair, together]) => combined(so, pair, together, combine), row);

function claimsOf(rows: readonly Row[], plan: Plan, peers: boolean): Claim[] {
  const ours = (metric: Metric): number => medianOf(rows, metric.what, OURS);
  const [first = [0, 0]] = plan.decode;
  const longest = Math.max(...plan.decode.map(([context]) => context));
  const claims: Claim[] = [
    {
      what: "memory at its peak, both members, MB",
      value: ours(PEAK),
      limit: 1600,
      bound: "at most",
    },
    { what: "memory idle again ÷ idle", value: ours(AFTER) / ours(IDLE), limit: 1.1, bound: "at most" },
    { what: stallMetric(plan).what, value: ours(stallMetric(plan)), limit: 5, bound: "at most" },
  ];
  const many = plan.decode.find(([context, streams]) => context === first[0] && streams === 8);
  if (many !== undefined) {
    claims.unshift({
      what: `decode, context ${first[0]}, 8 streams ÷ 1`,
      value: ours(decodeMetric(...many)) / ours(decodeMetric(...first)),
      limit: 3,
      bound: "at least",
    });
  }
  if (longest > first[0]) {
    claims.unshift({
      what: `a step at context ${longest} ÷ at ${first[0]}, 1 stream`,
      value: ours(decodeMetric(...first)) / ours(decodeMetric(longest, 1)),
      limit: 1.5,
      bound: "at most",
    });
  }
  if (!peers) return claims;
  const against = (metric: Metric, pick: (a: number, b: number) => number, limit: number): Claim => {
    const [a, b] = [LLAMA_ANCHOR, LLAMA_FOLLOWER].map((peer) => valuesOf(rows, metric.what, peer));
    const values = valuesOf(rows, metric.what, OURS).map(
      (value, round) => value / pick(a?.[round] ?? Number.NaN, b?.[round] ?? Number.NaN),
    );
    const which = pick(1, 2) === 2 ? "faster" : "slower";
    return {
      what: `${metric.what} ÷ llama.cpp's ${which} single member`,
      value: spreadOf(values).median,
      limit,
      bound: "at least",
    };
  };
  return [
    against(decodeMetric(...first), Math.max, 1.3),
    ...(longest > first[0] ? [against(decodeMetric(longest, 1), Math.max, 1)] : []),
    ...plan.prompts.map((length) => against(promptMetric(length), Math.min, 1)),
    ...claims,
  ];
}

function notesOf({ peers }: BenchContext, { tokens, memory }: Plan): string[] {
  const cores = sameCores()
    ? `All have ${THREADS} cores and ${THREADS} threads.`
    : `The peers compute with ${THREADS} threads; Concord with its default, on all cores: this system cannot hold a process to ${THREADS}.`;
  return [
    `${OURS}: the product's engine asked by concurrent answers at temperature 0; a token is one of the fused answer, for which both members read and step. ${cores}`,
    ...(peers
      ? [
          `llama.cpp: node-llama-cpp with the same GGUF files, greedy, streams as sequences of one context. onnxruntime: the same version and 8-bit weights as ours, one session for each member with its own head, the cache as graph inputs and outputs, streams a step each in turn; its default options but for the threads. "One after the other" has no run of its own: both members' times of the same round, added; so are their processes' memories.`,
        ]
      : []),
    `Texts are English of the given length in the anchor's tokens (Gemma needs fewer for the same text; speeds of prompts count the anchor's for all), no two alike. Decoding is counted from when all streams have begun, ${tokens} tokens of one stream alone and ${tokens / 4} of each of several. Memory: ${memory.streams} streams with prompts of ${memory.context} tokens.`,
  ];
}
