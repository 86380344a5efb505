import { afterAll, beforeAll, expect, test } from "vitest";
import { DEFAULT_CORPUS, readCorpus } from "../../adapters/node/corpus-files.ts";
import { openEnsemble, type OpenEnsemble } from "../../adapters/node/open-ensemble.ts";
import { createProgressBar } from "../../adapters/node/progress-bar.ts";
import { passageText } from "../../src/ensemble/corpus.ts";
import { createFusedReading } from "../../src/ensemble/fused-reading.ts";
import { topTokens } from "../../src/ensemble/sampler.ts";
import { systemClock } from "../../src/ports/clock.ts";

/*
 * However an answer's tokens are computed, they are the same at temperature 0. Sums of floating point numbers depend on their
 * order, and a product of one row adds up in another order than one of several: a token may differ where two are as likely
 * as each other, and nowhere else. From there on the two texts are different ones.
 */

/** So close that the order of a sum may decide, nats. The states of one text differ by some 1e-3 of their length. */
const AS_LIKELY = 0.05;
const TOKENS = 24;

interface Written {
  readonly tokens: readonly number[];
  /** By how much each was more likely than the next, nats. */
  readonly leads: readonly number[];
  /** Of the prompt. */
  readonly reused: number;
}

let plain: OpenEnsemble;
let keeping: OpenEnsemble;
/** Of some 40 to 800 tokens: the longest is longer than Gemma's window of 512. */
let texts: string[];
let alone: Written[];

beforeAll(async () => {
  const { documents } = await readCorpus(DEFAULT_CORPUS.slice(0, 1));
  const words = documents
    .flatMap(({ passages }) => passages.map(passageText))
    .join("\n")
    .split(" ");
  texts = [30, 80, 150, 600].map((count, i) => words.slice(2000 * i, 2000 * i + count).join(" "));
  plain = await openEnsemble({ progress: createProgressBar() });
  keeping = await openEnsemble({ progress: createProgressBar(), prefixBytes: 200e6 });
  alone = [];
  for (const text of texts) alone.push(await write(plain, text));
}, 240_000);

afterAll(async () => {
  await plain?.close();
  await keeping?.close();
});

async function write({ ensemble }: OpenEnsemble, text: string, count = TOKENS): Promise<Written> {
  const reading = createFusedReading(ensemble, { kind: "text", text }, systemClock);
  const tokens: number[] = [];
  const leads: number[] = [];
  try {
    while (tokens.length < count) {
      const { logprobs } = await reading.next();
      const [first = 0, second = 0] = topTokens(logprobs, 2);
      tokens.push(first);
      leads.push(logprobs[first]! - logprobs[second]!);
      reading.accept(first);
    }
    return { tokens, leads, reused: reading.reused };
  } finally {
    reading.close();
  }
}

function expectSame(told: Written, wanted: Written): void {
  const at = wanted.tokens.findIndex((token, i) => token !== told.tokens[i]);
  if (at !== -1) expect(wanted.leads[at]).toBeLessThan(AS_LIKELY);
}

test("alone and again alone, every one is the same", async () => {
  for (const [i, text] of texts.entries()) expect(await write(plain, text)).toEqual(alone[i]);
});

test("in a batch with others", async () => {
  const together = await Promise.all(texts.map((text) => write(plain, text)));
  for (const [i, told] of together.entries()) expectSame(told, alone[i]!);
});

test("read in chunks while others are written", async () => {
  const [short = "", , , long = ""] = texts;
  const other = write(plain, short, 120);
  const told = await write(plain, long);
  expectSame(told, alone[3]!);
  expectSame(await other, alone[0]!);
});

test("from a beginning that was read before", async () => {
  for (const [i, text] of texts.entries()) {
    const first = await write(keeping, text);
    const second = await write(keeping, text);
    expect(first.reused).toBe(0);
    if (i > 0) expect(second.reused).toBeGreaterThan(50);
    expectSame(first, alone[i]!);
    expectSame(second, alone[i]!);
  }
});
