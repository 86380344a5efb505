import { describe, expect, test } from "vitest";
import {
  fitSentenceSpace,
  normaliseRows,
  projectSentences,
  retrievalAt1,
  type SentenceBlock,
  type SentenceSpace,
} from "../../src/alignment/sentence-space.ts";
import { createMatrix } from "../../src/linalg/matrix.ts";
import { multiply } from "../../src/linalg/product.ts";
import { createRandom } from "../../src/linalg/random.ts";
import golden from "../golden/sentence-space.json" with { type: "json" };

/** Sentences with a few numbers of meaning that every member turns into its own coordinates, with noise. */
function planted(rows: number, seed: number, noise: number, widths = [12, 9, 15]): SentenceBlock[] {
  const random = createRandom(seed);
  const normal = (r: number, c: number) => {
    const matrix = createMatrix(r, c);
    for (let i = 0; i < matrix.data.length; i++) matrix.data[i] = random.normal();
    return matrix;
  };
  const meaning = normal(rows, 6);
  return widths.map((width, k) => {
    const states = multiply(meaning, normal(6, width));
    const noisy = Float32Array.from(states.data, (x) => 5 + x + noise * random.normal());
    return { id: `member-${k}`, layer: k, width, states: noisy };
  });
}

const options = { dimension: 6, ridge: 0.01, components: 15 };
const project = (space: SentenceSpace, blocks: readonly SentenceBlock[]): Float32Array[] =>
  space.maps.map((map, k) => projectSentences(map, blocks[k]?.states ?? new Float32Array()));

const halves = (blocks: readonly SentenceBlock[], rows: number) => ({
  first: blocks.map((block) => ({ ...block, states: block.states.slice(0, rows * block.width) })),
  second: blocks.map((block) => ({ ...block, states: block.states.slice(rows * block.width) })),
});

/** The block with its sentences in another order. */
function withRows({ id, layer, width, states }: SentenceBlock, order: readonly number[]): SentenceBlock {
  const rows = new Float32Array(states.length);
  for (const [to, from] of order.entries()) {
    rows.set(states.subarray(from * width, (from + 1) * width), to * width);
  }
  return { id, layer, width, states: rows };
}

describe("fitSentenceSpace", () => {
  test("has the definition's directions and agreement to 1e-5", () => {
    const blocks = golden.blocks.map(({ width, states }, k) => ({
      id: `member-${k}`,
      layer: 0,
      width,
      states: Float32Array.from(states),
    }));
    const space = fitSentenceSpace(blocks, golden);
    for (const [j, rho] of golden.agreement.entries()) expect(space.agreement[j]).toBeCloseTo(rho, 6);
    for (const [k, found] of project(space, blocks).entries()) {
      const expected = golden.projected[k] ?? [];
      // A direction may point either way, for all members alike.
      const signs = golden.agreement.map((_, j) =>
        Math.sign((project(space, blocks)[0]?.[j] ?? 1) * (golden.projected[0]?.[j] ?? 1)),
      );
      expect(found.length).toBe(expected.length);
      for (const [at, value] of expected.entries()) {
        expect((found[at] ?? Number.NaN) * (signs[at % golden.dimension] ?? 1)).toBeCloseTo(value, 4);
      }
    }
  });

  test("brings sentences that it has not seen together, and shuffled pairs to chance", () => {
    const { first, second } = halves(planted(400, 3, 0.2), 300);
    const [a, b] = project(fitSentenceSpace(first, options), second);
    expect(retrievalAt1(a ?? new Float32Array(), b ?? new Float32Array(), 6)).toBeGreaterThan(0.95);
    const order = createRandom(5).shuffle(Array.from({ length: 300 }, (_, i) => i));
    const shuffled = first.map((block, k) => (k === 0 ? block : withRows(block, order)));
    const [c, d] = project(fitSentenceSpace(shuffled, options), second);
    expect(retrievalAt1(c ?? new Float32Array(), d ?? new Float32Array(), 6)).toBeLessThan(0.1);
  });

  test("a member in other units, or shifted, has the same shared states", () => {
    const blocks = planted(120, 9, 0.3);
    const changed = blocks.map((block, k) =>
      k === 1
        ? { ...block, states: block.states.map((x, at) => (at % block.width === 0 ? 1000 * x : 3 * x + 7)) }
        : block,
    );
    const before = project(fitSentenceSpace(blocks, options), blocks);
    const after = project(fitSentenceSpace(changed, options), changed);
    for (const [k, rows] of before.entries()) {
      for (const [at, value] of rows.entries()) expect(after[k]?.[at]).toBeCloseTo(value, 2);
    }
  });

  test("every member's shared states are centred and have a mean square of 1", () => {
    const blocks = planted(150, 4, 0.5);
    for (const rows of project(fitSentenceSpace(blocks, options), blocks)) {
      expect(rows.reduce((sum, x) => sum + x * x, 0) / rows.length).toBeCloseTo(1, 4);
      for (let j = 0; j < 6; j++) {
        const mean = rows.reduce((sum, x, at) => (at % 6 === j ? sum + x / 150 : sum), 0);
        expect(mean).toBeCloseTo(0, 4);
      }
    }
  });

  test("one member alone has its own principal directions", () => {
    const [block] = planted(80, 2, 0.1);
    if (!block) throw new Error("no block");
    const space = fitSentenceSpace([block], { ...options, dimension: 2 });
    expect(space.agreement[0]).toBeGreaterThan(0.9);
    expect(space.agreement[0]).toBeLessThanOrEqual(1);
  });

  test("a column that never changes has no part, states that never change are refused", () => {
    const [a, b] = planted(60, 6, 0.1);
    if (!a || !b) throw new Error("no blocks");
    const still = { ...a, states: a.states.map((x, at) => (at % a.width === 2 ? 4 : x)) };
    const space = fitSentenceSpace([still, b], options);
    expect(space.maps[0]?.scale[2]).toBe(0);
    expect(projectSentences(space.maps[0]!, still.states).every(Number.isFinite)).toBe(true);
    const dead = { ...a, states: a.states.map(() => 1) };
    expect(() => fitSentenceSpace([dead, b], options)).toThrow("never change");
  });

  test("refuses no members, unequal sentences and dimensions there are not", () => {
    const blocks = planted(30, 1, 0.1);
    expect(() => fitSentenceSpace([], options)).toThrow("expected states of the same sentences, got none");
    const [a, b] = blocks;
    if (!a || !b) throw new Error("no blocks");
    const shorter = { ...b, states: b.states.slice(0, 20 * b.width) };
    expect(() => fitSentenceSpace([a, shorter], options)).toThrow("got 30, 20");
    for (const dimension of [0, 2.5, 30]) {
      expect(() => fitSentenceSpace(blocks, { ...options, dimension })).toThrow(RangeError);
    }
    const space = fitSentenceSpace(blocks, options);
    expect(() => projectSentences(space.maps[0]!, new Float32Array(13))).toThrow(RangeError);
  });
});

describe("retrievalAt1", () => {
  test("is the share of nearest neighbours that are right, both ways", () => {
    const a = Float32Array.of(1, 0, 0, 1, 1, 1);
    expect(retrievalAt1(a, a, 2)).toBe(1);
    // Rows 0 and 1 change places, row 2 stays.
    expect(retrievalAt1(a, Float32Array.of(0, 1, 1, 0, 1, 1), 2)).toBeCloseTo(1 / 3);
  });

  test("equal rows are no hit", () => {
    const same = Float32Array.of(1, 0, 1, 0);
    expect(retrievalAt1(same, same, 2)).toBe(0);
    expect(() => retrievalAt1(same, same.slice(2), 2)).toThrow(RangeError);
  });
});

test("normaliseRows makes every length 1 and leaves zeros", () => {
  const rows = normaliseRows(Float32Array.of(3, 4, 0, 0), 2);
  expect([...rows].map((x) => Math.round(x * 1e6) / 1e6)).toEqual([0.6, 0.8, 0, 0]);
});
