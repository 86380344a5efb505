import { expect, test } from "vitest";
import { combined, takeTurns, type Turn } from "../../bench/harness/turns.ts";
import type { ProgressBar } from "../../adapters/node/progress-bar.ts";

const progress: ProgressBar = { stage() {}, update() {}, finish() {}, note() {} };
const metric = { what: "speed", unit: "1/s", better: "higher" } as const;

test("every contender is measured once before any twice, and each round begins with the next", async () => {
  const order: string[] = [];
  const turns = ["a", "b", "c"].map((contender): Turn => ({
    contender,
    async run(round) {
      order.push(`${contender}${round}`);
      return [{ ...metric, value: round }];
    },
  }));
  const context = { rounds: 3, progress, signal: new AbortController().signal };
  const [row] = await takeTurns(context, "speed", turns);
  expect(order.join(" ")).toBe("a0 b0 c0 b1 c1 a1 c2 a2 b2");
  expect(row?.samples.map(({ contender, values }) => [contender, values])).toStrictEqual([
    ["a", [0, 1, 2]],
    ["b", [0, 1, 2]],
    ["c", [0, 1, 2]],
  ]);
  expect(row?.samples.every(({ loads }) => loads.length === 3)).toBe(true);
});

test("an interruption stops at the next step", async () => {
  const stop = new AbortController();
  let runs = 0;
  const turn: Turn = {
    contender: "a",
    async run() {
      runs++;
      stop.abort(new Error("interrupted"));
      return [];
    },
  };
  const context = { rounds: 5, progress, signal: stop.signal };
  await expect(takeTurns(context, "speed", [turn])).rejects.toThrow("interrupted");
  expect(runs).toBe(1);
});

test("two contenders one after the other take the sum of their times, round by round", () => {
  const loads = [{ othersCores: 0, steal: 0 }];
  const row = {
    ...metric,
    samples: [
      { contender: "a", values: [10], loads },
      { contender: "b", values: [40], loads },
    ],
  };
  const both = combined(row, ["a", "b"], "a then b", (a, b) => 1 / (1 / a + 1 / b));
  expect(both.samples.at(-1)).toStrictEqual({ contender: "a then b", values: [8], loads });
  expect(combined(row, ["a", "nobody"], "no", (a) => a)).toBe(row);
});
