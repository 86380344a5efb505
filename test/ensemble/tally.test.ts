import { describe, expect, it } from "vitest";
import type { MemberPrediction } from "../../src/ensemble/reading.ts";
import { createTally } from "../../src/ensemble/tally.ts";

const logs = (...p: number[]): Float32Array => Float32Array.from(p, Math.log);
const present = (logprobs: Float32Array, state: number[]): MemberPrediction => ({
  logprobs,
  reason: null,
  weight: 0.4,
  state: Float32Array.from(state),
});
const absent: MemberPrediction = { logprobs: null, reason: "lost", weight: 0, state: null };
const members = [
  { id: "a", weight: 0.5 },
  { id: "b", weight: 0.5 },
];

describe("tally", () => {
  it("adds up bits per byte, agreement and entropy over the positions", () => {
    const tally = createTally(members);
    // Token 0 of two bytes: the fused distribution gives it 1/2, a gives 1/4, b 1.
    tally.observe(
      {
        logprobs: logs(0.5, 0.25, 0.25),
        members: [present(logs(0.25, 0.5, 0.25), [1, 0]), present(logs(1, 0, 0), [0, 1])],
        comparison: null,
      },
      0,
      2,
    );
    // Token 2 of two bytes: everybody gives it 1/4 of the mass and prefers token 1.
    const same = logs(0.25, 0.5, 0.25);
    tally.observe(
      { logprobs: same, members: [present(same, [1, 0]), present(same, [2, 0])], comparison: null },
      2,
      2,
    );
    const { agreement, members: reports, bitsPerByte, entropy, requestId } = tally.report("r", [3, 4]);

    expect(requestId).toBe("r");
    expect(bitsPerByte).toBeCloseTo((1 + 2) / 4, 6);
    expect(reports[0]).toMatchObject({ id: "a", weight: 0.4, latencyMs: 3 });
    expect(reports[0]?.bitsPerByte).toBeCloseTo((2 + 2) / 4, 6);
    expect(reports[1]?.bitsPerByte).toBeCloseTo((0 + 2) / 4, 6);
    // First choices: fused 0 then 1; a 1 then 1; b 0 then 1.
    expect(reports.map((report) => report.top1Agreement)).toEqual([0.5, 1]);
    const flat = 1.5 * Math.LN2;
    expect(entropy).toBeCloseTo(flat, 6);
    expect(reports[0]?.entropy).toBeCloseTo(flat, 6);
    expect(reports[1]?.entropy).toBeCloseTo(flat / 2, 6);

    // H(mean) − mean H with mean (5/8, 1/4, 1/8).
    const mixed = -(0.625 * Math.log(0.625) + 0.25 * Math.log(0.25) + 0.125 * Math.log(0.125));
    expect(agreement.positions).toBe(2);
    expect(agreement.jsDivergence).toBeCloseTo((mixed - flat / 2) / 2, 6);
    expect(agreement.top1Agreement).toBe(0.5);
    expect(agreement.stateDistance).toBeCloseTo(0.5, 6);
  });

  it("a member that gives no state is counted as abstaining, and compared with nobody", () => {
    const tally = createTally(members);
    tally.observe(
      { logprobs: logs(0.5, 0.5), members: [present(logs(0.5, 0.5), [1]), absent], comparison: null },
      1,
      1,
    );
    const { agreement, members: reports } = tally.report("r", [0, 0]);
    expect(agreement).toEqual({ positions: 0, jsDivergence: null, top1Agreement: null, stateDistance: null });
    expect(reports[0]).not.toHaveProperty("abstained");
    expect(reports[1]).toMatchObject({ bitsPerByte: null, abstained: { positions: 1, reason: "lost" } });
  });

  it("an answer of no tokens has no numbers", () => {
    const { bitsPerByte, entropy, members: reports } = createTally(members).report("r", [0, 0]);
    expect([bitsPerByte, entropy, reports[0]?.bitsPerByte, reports[0]?.top1Agreement]).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });
});
