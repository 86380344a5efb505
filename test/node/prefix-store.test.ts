import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KvValues } from "../../adapters/node/kv-cache.ts";
import { BLOCK_TOKENS, createPrefixStore } from "../../adapters/node/prefix-store.ts";

const BLOCK_BYTES = 1000;

/** Blocks of few different tokens, so that texts share beginnings. */
const texts = fc
  .array(fc.integer({ min: 1, max: 2 }), { maxLength: 6 })
  .map((kinds) => kinds.flatMap((kind) => Array.from({ length: BLOCK_TOKENS }, () => kind)));

/** What a block is kept as: all tokens up to its end, which nothing else may stand for. */
const valuesOf = (tokens: readonly number[], block: number): KvValues =>
  Float32Array.from(tokens.slice(0, (block + 1) * BLOCK_TOKENS));

const shared = (a: readonly number[], b: readonly number[]): number => {
  const end = a.findIndex((token, i) => token !== b[i]);
  return end < 0 ? a.length : end;
};

describe("beginnings that were read before", () => {
  test("are found as far as any kept text goes, each block by all tokens before it", () => {
    fc.assert(
      fc.property(fc.array(texts, { maxLength: 8 }), texts, (kept, asked) => {
        const store = createPrefixStore(BLOCK_BYTES, 1000 * BLOCK_BYTES);
        for (const tokens of kept) store.keep(tokens, (block) => valuesOf(tokens, block));
        const longest = Math.max(
          0,
          ...kept.map((tokens) => Math.floor(shared(asked, tokens) / BLOCK_TOKENS)),
        );
        const wanted = Array.from({ length: longest }, (_, block) => valuesOf(asked, block));
        expect(store.match(asked)).toEqual(wanted);
      }),
      { seed: 5 },
    );
  });

  test("are taken only where they are not kept yet", () => {
    const store = createPrefixStore(BLOCK_BYTES, 100 * BLOCK_BYTES);
    const tokens = Array.from({ length: 3 * BLOCK_TOKENS + 5 }, (_, i) => i);
    const taken: number[] = [];
    const take = (block: number): KvValues => {
      taken.push(block);
      return valuesOf(tokens, block);
    };
    store.keep(tokens.slice(0, 2 * BLOCK_TOKENS), take);
    store.keep(tokens, take);
    expect(taken).toEqual([0, 1, 2]);
  });

  test("stay within the budget, and what is found is right whatever was forgotten", () => {
    fc.assert(
      fc.property(
        fc.array(texts, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: 5 }),
        (kept, most) => {
          const store = createPrefixStore(BLOCK_BYTES, most * BLOCK_BYTES + 1);
          for (const tokens of kept) store.keep(tokens, (block) => valuesOf(tokens, block));
          const distinct = new Set<KvValues>();
          for (const tokens of kept) {
            for (const [block, values] of store.match(tokens).entries()) {
              expect(values).toEqual(valuesOf(tokens, block));
              distinct.add(values);
            }
          }
          expect(distinct.size).toBeLessThanOrEqual(most);
        },
      ),
      { seed: 6 },
    );
  });

  test("of what is used again and again outlive what was used once, and one long text does not drive them out", () => {
    const store = createPrefixStore(BLOCK_BYTES, 8 * BLOCK_BYTES);
    const system = Array.from({ length: 2 * BLOCK_TOKENS }, () => 7);
    for (let i = 0; i < 20; i++) {
      const tokens = [...system, ...Array.from({ length: BLOCK_TOKENS }, () => 100 + i)];
      store.keep(tokens, (block) => valuesOf(tokens, block));
    }
    const long = Array.from({ length: 50 * BLOCK_TOKENS }, () => 9);
    store.keep(long, (block) => valuesOf(long, block));
    expect(store.match(system)).toHaveLength(2);
    expect(store.match(long)).toHaveLength(4);
    store.clear();
    expect(store.match(system)).toEqual([]);
  });
});
