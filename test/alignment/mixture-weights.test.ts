import { describe, expect, it } from "vitest";
import { fitMixtureWeights } from "../../src/alignment/mixture-weights.ts";
import { createRandom } from "../../src/linalg/random.ts";

const random = createRandom(7);
const rows = Array.from({ length: 300 }, () => [random.next(), random.next() ** 2, random.next() ** 3]);

function nllOf(weights: readonly number[]): number {
  return (
    rows.reduce((sum, row) => sum - Math.log(row.reduce((p, q, m) => p + (weights[m] ?? 0) * q, 0)), 0) /
    rows.length
  );
}

/** mean p_m / Σ w_n p_n. */
function derivative(weights: readonly number[], m: number): number {
  const ratios = rows.map((row) => (row[m] ?? 0) / row.reduce((p, q, n) => p + (weights[n] ?? 0) * q, 0));
  return ratios.reduce((a, b) => a + b, 0) / rows.length;
}

describe("mixture weights", () => {
  const { weights: corners, nll } = fitMixtureWeights(rows);
  const weights = corners[0] ?? [];

  it("are shares", () => {
    expect(weights.every((weight) => weight >= 0)).toBe(true);
    expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    expect(nll).toBeCloseTo(nllOf(weights), 12);
  });

  it("are a minimum: the derivative by each is 1 where it is above 0 and at most 1 elsewhere", () => {
    for (const [m, weight] of weights.entries()) {
      if (weight > 1e-4) expect(derivative(weights, m)).toBeCloseTo(1, 4);
      else expect(derivative(weights, m)).toBeLessThan(1 + 1e-4);
    }
  });

  it("recover the shares by which outcomes were drawn", () => {
    const draws = createRandom(3);
    const experts = [
      [0.7, 0.2, 0.1],
      [0.1, 0.2, 0.7],
    ];
    const outcomes = Array.from({ length: 20_000 }, () => {
      const expert = experts[draws.next() < 0.3 ? 0 : 1] ?? [];
      const u = draws.next();
      const outcome = u < (expert[0] ?? 0) ? 0 : u < (expert[0] ?? 0) + (expert[1] ?? 0) ? 1 : 2;
      return experts.map((row) => row[outcome] ?? 0);
    });
    expect(fitMixtureWeights(outcomes).weights[0]?.[0]).toBeCloseTo(0.3, 1);
  });

  it("drop a member that never helps, and share evenly between equals", () => {
    expect(fitMixtureWeights(rows.map(([p = 0]) => [p, p / 2])).weights[0]?.[1]).toBe(0);
    const [one, other] = fitMixtureWeights(rows.map(([p = 0]) => [p, p])).weights[0] ?? [];
    expect(one).toBeCloseTo(0.5, 10);
    expect(other).toBeCloseTo(0.5, 10);
  });

  it("of nothing, or of an outcome that nobody foresaw, are refused", () => {
    expect(() => fitMixtureWeights([])).toThrow("expected outcomes");
    expect(() =>
      fitMixtureWeights([
        [0.5, 0.5],
        [0, 0],
      ]),
    ).toThrow("expected outcomes");
  });
});
