import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { HiddenStates, LanguageModel } from "../../src/ports/language-model.ts";
import { argMax, logSumExp } from "../../src/stats/distributions.ts";
import { float16ToFloat32 } from "../../src/weights/float16.ts";
import { rowCosines } from "../contracts/language-model.ts";
import { openMember } from "../open-member.ts";

const promptSchema = z.object({
  tokens: z.array(z.int()),
  /** Final state of the last token, base64 of float16. */
  hidden: z.string(),
  /** The most likely next token, and how far it leads the second, nats. */
  top: z.int(),
  lead: z.number(),
});
const memberSchema = z.object({
  prompts: z.array(promptSchema),
  /** One text beyond every attention window. */
  long: promptSchema,
  /** Mean loss of the next token, nats. */
  passages: z.array(z.object({ tokens: z.array(z.int()), nats: z.number() })),
});
const forwardSchema = z.object({ "smollm2-135m-instruct": memberSchema, "gemma-3-270m": memberSchema });

const streamSchema = z.object({
  token_ids: z.array(z.int()),
  top10: z.array(z.object({ id: z.int(), logprob: z.number() })),
  /** L2 norms of the residual stream by layer. */
  residual_norms: z.record(z.string(), z.number()),
});
const referenceSchema = z.object({
  prompts: z.array(z.object({ "smollm2-135m-instruct": streamSchema, "gemma-3-270m": streamSchema })),
});

async function golden<T>(name: string, schema: z.ZodType<T>): Promise<T> {
  const path = new URL(`../golden/${name}.json`, import.meta.url);
  return schema.parse(JSON.parse(await readFile(path, "utf8")));
}
/** By member-forward.py: numpy, float32. */
const forward = await golden("member-forward", forwardSchema);
/** By a second float32 implementation, in JAX; how it was made stands in the file. */
const reference = await golden("forward-reference", referenceSchema);

function float16(base64: string): Float32Array {
  return float16ToFloat32(new Uint16Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer));
}

function norm(values: Float32Array | undefined): number {
  return Math.hypot(...(values ?? []));
}

describe.each(["smollm2-135m-instruct", "gemma-3-270m"] as const)("%s against float32", (id) => {
  const { prompts, long, passages } = forward[id];
  const streams = reference.prompts.map((prompt) => prompt[id]);
  let model: LanguageModel;
  beforeAll(async () => {
    model = await openMember(id);
  });
  afterAll(() => model.close());

  async function read(
    tokens: readonly number[],
    rows: number,
    taps: readonly number[] = [],
  ): Promise<HiddenStates> {
    const sequence = model.openSequence();
    const states = await sequence.append(tokens, { rows, taps });
    sequence.close();
    return states;
  }

  /** Mean -ln p of each token after the first, nats. */
  async function loss(tokens: readonly number[]): Promise<number> {
    const { hidden } = await read(tokens.slice(0, -1), tokens.length - 1);
    const logits = await model.head.decode(hidden);
    const size = model.head.vocabularySize;
    let sum = 0;
    for (const [i, token] of tokens.slice(1).entries()) {
      const row = logits.subarray(i * size, (i + 1) * size);
      sum += logSumExp(row) - (row[token] ?? Number.NaN);
    }
    return sum / (tokens.length - 1);
  }

  test.each([...prompts, long])(
    "final state of text %# has cosine 0.998 and its norm within 2 %",
    async (prompt) => {
      const { hidden } = await read(prompt.tokens, 1);
      const expected = float16(prompt.hidden);
      const [cosine] = rowCosines(hidden, expected, model.info.width);
      expect(cosine).toBeGreaterThanOrEqual(0.998);
      expect(Math.abs(norm(hidden) / norm(expected) - 1)).toBeLessThan(0.02);
    },
  );

  test.each([...prompts, long].filter(({ lead }) => lead > 0.05))(
    "most likely token after text %# is the same",
    async ({ tokens, top }) => {
      const { hidden } = await read(tokens, 1);
      expect(argMax(await model.head.decode(hidden))).toBe(top);
    },
  );

  test.each(streams)("residual streams of text %# have their norms within 2 %", async (stream) => {
    const layers = Object.keys(stream.residual_norms).map(Number);
    const { taps } = await read(stream.token_ids, 1, layers);
    for (const layer of layers) {
      const ratio = norm(taps.get(layer)) / (stream.residual_norms[layer] ?? Number.NaN);
      expect(Math.abs(ratio - 1), `layer ${layer}`).toBeLessThan(0.02);
    }
  });

  test("log-probabilities of the ten likeliest tokens are off by less than 0.15 nats on average", async () => {
    const differences: number[] = [];
    for (const { token_ids, top10 } of streams) {
      const logits = await model.head.decode((await read(token_ids, 1)).hidden);
      const total = logSumExp(logits);
      for (const { id: token, logprob } of top10) {
        differences.push(Math.abs((logits[token] ?? Number.NaN) - total - logprob));
      }
    }
    expect(differences.length).toBe(50);
    expect(differences.reduce((sum, difference) => sum + difference, 0) / 50).toBeLessThan(0.15);
  });

  test("mean loss over the passages is within 0.01 nats per token", { timeout: 300_000 }, async () => {
    let [measured, expected, count] = [0, 0, 0];
    for (const { tokens, nats } of passages) {
      const scored = tokens.length - 1;
      measured += (await loss(tokens)) * scored;
      expected += nats * scored;
      count += scored;
    }
    expect(passages.length).toBe(20);
    expect(Math.abs(measured - expected) / count).toBeLessThan(0.01);
  });
});
