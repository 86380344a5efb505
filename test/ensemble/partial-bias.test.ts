import { describe, expect, it } from "vitest";
import { partialBias } from "../../src/ensemble/partial-bias.ts";
import { createRandom } from "../../src/linalg/random.ts";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

describe("partialBias", () => {
  it("makes the mean probability of such tokens their share of what came", () => {
    const random = createRandom(4);
    const logOdds = Array.from({ length: 500 }, () => 2 * random.normal() - 1);
    const c = partialBias(logOdds, 35);
    const mean = logOdds.reduce((sum, odds) => sum + sigmoid(odds + c), 0) / logOdds.length;
    expect(mean).toBeCloseTo(35.5 / 501, 10);
  });

  it("recovers a planted bias from tokens drawn with it", () => {
    const random = createRandom(5);
    const planted = -2.5;
    const logOdds = Array.from({ length: 40_000 }, () => random.normal());
    const came = logOdds.filter((odds) => random.next() < sigmoid(odds + planted)).length;
    expect(partialBias(logOdds, came)).toBeCloseTo(planted, 1);
  });

  it("stays finite when none came, and when all did", () => {
    expect(partialBias([0, 0, 0, 0], 0)).toBeCloseTo(Math.log(0.1 / 0.9), 10);
    expect(partialBias([0, 0, 0, 0], 4)).toBeCloseTo(Math.log(0.9 / 0.1), 10);
  });
});
