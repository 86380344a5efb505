import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assignArm, unitOf } from "../../src/experiments/assignment.ts";
import { plainSampling, type Question } from "../../src/ports/engine.ts";
import golden from "../golden/assignment.json" with { type: "json" };

const armsOf = (...weights: readonly number[]) =>
  weights.map((weight, i) => ({ name: `arm-${i}`, model: "m", weight }));
const units = Array.from({ length: 4000 }, (_, i) => `unit-${i}`);

async function assigned(weights: readonly number[], salt = "salt"): Promise<string[]> {
  const experiment = { arms: armsOf(...weights), salt };
  return Promise.all(units.map(async (unit) => (await assignArm(experiment, unit)).name));
}

const countOf = (names: readonly string[], name: string): number =>
  names.filter((one) => one === name).length;

describe("assignArm", () => {
  it("assigns as another implementation does, so in every process and after every restart", async () => {
    const arms = golden.arms.map((arm) => ({ ...arm, model: "m" }));
    for (const { unit, arm } of golden.units) {
      expect((await assignArm({ arms, salt: golden.salt }, unit)).name).toBe(arm);
    }
  });

  it("deals units in proportion to the weights: χ² of 3 arms within its 99.9 % quantile", async () => {
    const weights = [1, 2, 5];
    const names = await assigned(weights);
    const chiSquared = weights.reduce((sum, weight, i) => {
      const expected = (units.length * weight) / 8;
      return sum + (countOf(names, `arm-${i}`) - expected) ** 2 / expected;
    }, 0);
    expect(chiSquared).toBeLessThan(13.8);
  });

  it("gives an arm of weight 0 nothing", async () => {
    expect(countOf(await assigned([1, 0, 1]), "arm-1")).toBe(0);
  });

  it("moves units only to the arm that gained when weights change, and as many as it gained", async () => {
    const before = await assigned([1, 1]);
    const after = await assigned([1, 3]);
    const moves = before.flatMap((from, i) => (from === after[i] ? [] : [`${from} to ${after[i]}`]));
    expect(new Set(moves)).toEqual(new Set(["arm-0 to arm-1"]));
    expect(moves.length / units.length).toBeCloseTo(0.25, 1);
  });

  it("deals anew with another salt: the two agree as often as chance has it", async () => {
    const one = await assigned([1, 1], "one");
    const other = await assigned([1, 1], "other");
    const same = one.filter((name, i) => name === other[i]).length / units.length;
    expect(Math.abs(same - 0.5)).toBeLessThan(0.04);
  });

  it("gives any unit an arm, the same each time, whatever its characters", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (unit) => {
        const experiment = { arms: armsOf(1, 1), salt: "s" };
        expect(await assignArm(experiment, unit)).toBe(await assignArm(experiment, unit));
      }),
      { numRuns: 50 },
    );
  });

  it("refuses when no arm has a weight", async () => {
    await expect(assignArm({ arms: armsOf(0, 0), salt: "s" }, "u")).rejects.toThrow(RangeError);
  });
});

describe("unitOf", () => {
  const question: Question = {
    requestId: "r1",
    model: "m",
    endpoint: "completions",
    prompt: { kind: "text", text: "" },
    maxTokens: 1,
    stop: [],
    sampling: plainSampling,
    topLogprobs: null,
    echo: false,
    caller: { user: "ann", header: (name) => (name === "x-team" ? "ann" : null) },
  };

  it("is the request's id where each request is a unit", async () => {
    expect(await unitOf({ unit: "request" }, question)).toBe("r1");
  });

  it("hides the user's name, and is not a header's of the same value", async () => {
    const user = await unitOf({ unit: "user" }, question);
    expect(user).toMatch(/^[0-9a-f]{32}$/);
    expect(await unitOf({ unit: "header:x-team" }, question)).not.toBe(user);
    expect(await unitOf({ unit: "user" }, { ...question, requestId: "r2" })).toBe(user);
  });

  it("is null where the request does not have it", async () => {
    expect(await unitOf({ unit: "header:x-none" }, question)).toBeNull();
    expect(
      await unitOf({ unit: "user" }, { ...question, caller: { user: "", header: () => null } }),
    ).toBeNull();
    expect(await unitOf({ unit: "user" }, { ...question, caller: undefined })).toBeNull();
  });
});
