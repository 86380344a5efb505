import { lru } from "tiny-lru";
import type { KvValues } from "./kv-cache.ts";

/** Keys and values of tokens that some sequence has read, kept for others that begin with the same. */
export interface PrefixStore {
  /** The kept blocks that these tokens begin with, in their order; block i is of the tokens from i · BLOCK_TOKENS on. */
  match(tokens: readonly number[]): readonly KvValues[];
  /** Keeps the whole blocks of these tokens. @param take block i of them; asked for only where it is not kept yet */
  keep(tokens: readonly number[], take: (block: number) => KvValues): void;
  clear(): void;
}

/** Tokens that are kept or forgotten together. */
export const BLOCK_TOKENS = 32;

interface Block {
  /** Its own, never given twice: a block's key holds its parent's, so that a key stands for all tokens up to its end. */
  readonly id: number;
  readonly values: KvValues;
}

const ROOT = 0;

/**
 * A tree of blocks as vLLM's prefix cache has it (Kwon et al. 2023, arXiv 2309.06180): a block is found by its tokens and all
 * before them. Of what has not been used for longest the ends go first.
 * @param blockBytes of each block @param budgetBytes of all that is kept; less than a block: nothing is
 */
export function createPrefixStore(blockBytes: number, budgetBytes: number): PrefixStore {
  const most = Math.floor(budgetBytes / blockBytes);
  // One text leaves room for another.
  const mostOfOne = Math.ceil(most / 2);
  const blocks = most > 0 ? lru<Block>(most) : null;
  let ids = ROOT;

  return {
    match(tokens) {
      if (blocks === null) return [];
      const found: { readonly key: string; readonly block: Block }[] = [];
      for (let i = 0; (i + 1) * BLOCK_TOKENS <= tokens.length; i++) {
        const key = keyOf(found.at(-1)?.block.id ?? ROOT, tokens, i);
        const block = blocks.get(key);
        if (block === undefined) break;
        found.push({ key, block });
      }
      // The beginning last, since nothing after it is found without it.
      for (const { key } of found.toReversed()) blocks.get(key);
      return found.map(({ block }) => block.values);
    },

    keep(tokens, take) {
      if (blocks === null) return;
      const count = Math.min(mostOfOne, Math.floor(tokens.length / BLOCK_TOKENS));
      const keys: string[] = [];
      let parent = ROOT;
      for (let i = 0; i < count; i++) {
        const key = keyOf(parent, tokens, i);
        const block = blocks.get(key) ?? { id: ++ids, values: take(i) };
        blocks.set(key, block);
        keys.push(key);
        parent = block.id;
      }
      for (const key of keys.toReversed()) blocks.get(key);
    },

    clear() {
      blocks?.clear();
    },
  };
}

function keyOf(parent: number, tokens: readonly number[], block: number): string {
  return `${parent}:${tokens.slice(block * BLOCK_TOKENS, (block + 1) * BLOCK_TOKENS).join()}`;
}
