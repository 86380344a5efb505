import { describe, expect, it } from "vitest";
import { partialShares } from "../../src/ensemble/partial-shares.ts";

describe("partialShares", () => {
  // Row 7 is token 0 whole and begins tokens 1 and 2; row 8 is token 3's alone; row 9 begins token 4 only.
  const tokens = Int32Array.of(7, 7, 7, 8, 9, -1);
  const partial = Uint8Array.of(0, 1, 1, 0, 1, 0);
  const counts = Float64Array.of(50, 40, 0, 1000, 0, 3);
  const shares = partialShares({ tokens, partial }, counts).map(Math.exp);

  it("are the planted frequencies, smoothed", () => {
    expect(shares[1]).toBeCloseTo(40.02 / 92.06, 6);
    expect(shares[2]).toBeCloseTo(0.02 / 92.06, 6);
    expect(shares[4]).toBeCloseTo(0.02 / 2.02, 6);
  });

  it("of one row sum to 1", () => {
    expect((shares[0] ?? 0) + (shares[1] ?? 0) + (shares[2] ?? 0)).toBeCloseTo(1, 6);
  });

  it("are whole for a token whose row is its own, and for one without a row", () => {
    expect(shares[3]).toBe(1);
    expect(shares[5]).toBe(1);
  });

  it("stay above 0 when very many rare tokens share a row", () => {
    const many = partialShares(
      { tokens: new Int32Array(1001).fill(3), partial: new Uint8Array(1001).fill(1).fill(0, 0, 1) },
      new Float64Array(1001),
    );
    expect(many.every(Number.isFinite)).toBe(true);
  });
});
