import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Generator } from "../../bench/engine/generator.ts";
import { measureDecode, measureFirstToken, measureStall } from "../../bench/engine/measures.ts";

const STEP_MS = 10;

/** Reads a text in as many milliseconds as it has characters, and then makes a token every 10; one of 500 blocks all. */
function createTimed(mostTokens = Number.POSITIVE_INFINITY): Generator {
  let blockedUntil = 0;
  return {
    openStreams: async () => ({
      async generate(text, onToken, signal) {
        if (text.length === 500) blockedUntil = performance.now() + text.length;
        await sleep(text.length);
        for (let made = 0; made < mostTokens && !signal.aborted; made++) {
          await sleep(Math.max(STEP_MS, blockedUntil - performance.now()));
          onToken();
        }
      },
      close: async () => {},
    }),
    close: async () => {},
  };
}

test("decoding is counted from when all streams have begun, over all of them", async () => {
  const texts = ["a".repeat(5), "b".repeat(200)];
  const perSecond = await measureDecode(createTimed(), { texts, promptTokens: 1, tokens: 20 });
  // Two streams, a token every 10 ms and a little each; the 200 ms of reading do not count.
  expect(perSecond).toBeGreaterThan(60);
  expect(perSecond).toBeLessThan(201);
});

test("streams that end too early are an error, not a figure", async () => {
  const task = { texts: ["a"], promptTokens: 1, tokens: 20 };
  await expect(measureDecode(createTimed(5), task)).rejects.toThrow("ended after 4 of 20 tokens");
});

test("the time to the first token has the reading in it", async () => {
  const ms = await measureFirstToken(createTimed(), { text: "a".repeat(300), promptTokens: 1 });
  expect(ms).toBeGreaterThanOrEqual(300);
});

test("a stream that waits for a whole prompt shows a gap of many medians", async () => {
  const task = { texts: ["a", "b"], promptTokens: 1, tokens: 10, tokensOfPrompt: 1 };
  expect(await measureStall(createTimed(), { ...task, prompt: "c".repeat(500) })).toBeGreaterThan(10);
  expect(await measureStall(createTimed(), { ...task, prompt: "c".repeat(499) })).toBeLessThan(10);
});
