import { once } from "node:events";
import { answerRequests } from "../harness/script.ts";
import { spreadOf } from "../harness/summary.ts";
import type { Generator, Streams } from "./generator.ts";

export interface DecodeTask {
  /** One stream each. */
  readonly texts: readonly string[];
  /** Of the longest text. */
  readonly promptTokens: number;
  /** Counted tokens, a stream. */
  readonly tokens: number;
}

export interface StallTask extends DecodeTask {
  /** Comes while the streams run. */
  readonly prompt: string;
  readonly tokensOfPrompt: number;
}

export interface PrefillTask {
  readonly text: string;
  readonly promptTokens: number;
}

/** Room for what streams generate while others still read. */
const SPARE_TOKENS = 1024;

/** Answers for one generator's process. */
export function answerMeasures(open: () => Promise<Generator>): void {
  let opened: Promise<Generator> | null = null;
  const generator = (): Promise<Generator> => (opened ??= open());
  answerRequests(
    {
      open: async () => void (await generator()),
      decode: async (task: DecodeTask) => measureDecode(await generator(), task),
      firstToken: async (task: PrefillTask) => measureFirstToken(await generator(), task),
      stall: async (task: StallTask) => measureStall(await generator(), task),
    },
    async () => {
      if (opened !== null) await (await opened).close();
    },
  );
}

/** From when every stream has its first token until all together have made as many tokens as asked for. */
export async function measureDecode(
  generator: Generator,
  { texts, promptTokens, tokens }: DecodeTask,
): Promise<number> {
  return withStreams(generator, texts.length, promptTokens, async (streams) => {
    const stop = new AbortController();
    const waiting = new Set(texts.keys());
    const goal = tokens * texts.length;
    let begunMs = 0;
    let elapsedMs: number | null = null;
    let counted = 0;
    const onToken = (stream: number): void => {
      if (waiting.size > 0) {
        waiting.delete(stream);
        begunMs = performance.now();
        return;
      }
      counted++;
      if (counted !== goal) return;
      elapsedMs = performance.now() - begunMs;
      stop.abort();
    };
    await Promise.all(
      texts.map((text, stream) => streams.generate(text, () => onToken(stream), stop.signal)),
    );
    if (elapsedMs === null) throw new Error(`the streams ended after ${counted} of ${goal} tokens`);
    return goal / (elapsedMs / 1000);
  });
}

export async function measureFirstToken(
  generator: Generator,
  { text, promptTokens }: PrefillTask,
): Promise<number> {
  return withStreams(generator, 1, promptTokens, (streams) => firstToken(streams, text));
}

async function firstToken(streams: Streams, text: string): Promise<number> {
  const stop = new AbortController();
  const start = performance.now();
  let elapsedMs: number | null = null;
  const onToken = (): void => {
    elapsedMs ??= performance.now() - start;
    stop.abort();
  };
  await streams.generate(text, onToken, stop.signal);
  if (elapsedMs === null) throw new Error("no token came");
  return elapsedMs;
}

/** Streams run; then one more reads a long prompt. */
export async function measureStall(
  generator: Generator,
  { texts, promptTokens, tokens, prompt, tokensOfPrompt }: StallTask,
): Promise<number> {
  return withStreams(generator, texts.length + 1, Math.max(promptTokens, tokensOfPrompt), async (streams) => {
    const stop = new AbortController();
    /** When each token of each stream came. */
    const times = texts.map((): number[] => []);
    const warm = new AbortController();
    const warmed = once(warm.signal, "abort");
    const running = texts.map((text, stream) =>
      streams.generate(
        text,
        () => {
          times[stream]?.push(performance.now());
          if (times.every((own) => own.length > tokens)) warm.abort();
        },
        stop.signal,
      ),
    );
    await Promise.race([warmed, Promise.all(running)]);
    const from = performance.now();
    await firstToken(streams, prompt);
    const until = performance.now();
    stop.abort();
    await Promise.all(running);
    return longestGap(times, from, until) / medianGap(times, from);
  });
}

/** Of a stream that made no token in the time, all of it. */
function longestGap(times: readonly (readonly number[])[], from: number, until: number): number {
  const gaps = times.map((own) => {
    const before = own.findLast((at) => at <= from) ?? from;
    const within = [before, ...own.filter((at) => at > from && at <= until), until];
    return Math.max(...within.slice(1).map((at, index) => at - (within[index] ?? at)));
  });
  return Math.max(...gaps);
}

function medianGap(times: readonly (readonly number[])[], until: number): number {
  const gaps = times.flatMap((own) => {
    const before = own.filter((at) => at <= until);
    return before.slice(1).map((at, index) => at - (before[index] ?? at));
  });
  return spreadOf(gaps).median;
}

async function withStreams<T>(
  generator: Generator,
  count: number,
  promptTokens: number,
  measure: (streams: Streams) => Promise<T>,
): Promise<T> {
  const streams = await generator.openStreams(count, promptTokens + SPARE_TOKENS);
  try {
    return await measure(streams);
  } finally {
    await streams.close();
  }
}
