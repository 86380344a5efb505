import { describe, expect, it } from "vitest";
import type { MetadataValue } from "../../src/weights/gguf-header.ts";
import { createMetadata } from "../../src/weights/metadata.ts";
import { defineTokenizer } from "../../src/weights/tokenizer-definition.ts";

const SPACE = "\u2581";

function scored(changes: Readonly<Record<string, MetadataValue>> = {}) {
  const values: Record<string, MetadataValue> = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "  ", "<0x41>", SPACE, "a", "b", "ab", `${SPACE}a`],
    "tokenizer.ggml.token_type": [2, 3, 3, 4, 6, 1, 1, 1, 1, 1],
    "tokenizer.ggml.scores": [0, 0, 0, -1000, 0, -9, -8, -7, -2, -3],
    "tokenizer.ggml.add_space_prefix": false,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    ...changes,
  };
  return defineTokenizer(createMetadata(new Map(Object.entries(values))));
}

function byteLevel(changes: Readonly<Record<string, MetadataValue>> = {}) {
  const values: Record<string, MetadataValue> = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": ["<|endoftext|>", "<|im_end|>", "a", "\u0120", "\u0120a"],
    "tokenizer.ggml.token_type": [3, 3, 1, 1, 1],
    "tokenizer.ggml.merges": ["\u0120 a"],
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 1,
    ...changes,
  };
  return defineTokenizer(createMetadata(new Map(Object.entries(values))));
}

describe("a scored vocabulary", () => {
  it("joins user-defined tokens first, then the best score, then the longest left token", () => {
    const { mergeRank } = scored().vocabulary;
    const order = [3, 8, 9].map((id) => mergeRank?.(id, 1));
    expect(order).toEqual(order.toSorted((a = 0, b = 0) => a - b));
    expect(new Set(order).size).toBe(3);
    expect(mergeRank?.(8, 2)).toBeLessThan(mergeRank?.(8, 1) ?? 0);
    expect(mergeRank?.(8, 1)).toBeLessThan(mergeRank?.(9, 2) ?? 0);
  });

  it("writes the spaces of user-defined tokens as U+2581 and gives their bytes as spaces", () => {
    const { json, vocabulary } = scored();
    expect(json.added_tokens.find(({ id }) => id === 3)?.content).toBe(SPACE + SPACE);
    expect([...vocabulary.bytes(3)]).toEqual([0x20, 0x20]);
    expect([...vocabulary.bytes(4)]).toEqual([0x41]);
  });

  it("counts control tokens as special and user-defined ones as text", () => {
    expect([...scored().specialTokens]).toEqual([0, 1, 2]);
    expect(scored().endTokens).toEqual([2]);
  });

  it("is refused when it puts a space before the text or leaves that open", () => {
    expect(() => scored({ "tokenizer.ggml.add_space_prefix": true })).toThrow(/add_space_prefix false/);
    const values: Record<string, MetadataValue> = {
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.token_type": [],
    };
    expect(() => defineTokenizer(createMetadata(new Map(Object.entries(values))))).toThrow(
      /add_space_prefix/,
    );
  });

  it("is refused when a token reaches over the beginning of a word", () => {
    const tokens = ["<unk>", "<s>", "</s>", "  ", "<0x41>", SPACE, "a", "b", `a${SPACE}`, `>${SPACE}</`];
    expect(() => scored({ "tokenizer.ggml.tokens": tokens })).toThrow(/"a▁"/);
    expect(() => scored({ "tokenizer.ggml.tokens": tokens.with(8, "a\n") })).toThrow(/"a\\n"/);
  });

  it("is refused when scores are missing", () => {
    expect(() => scored({ "tokenizer.ggml.scores": [0] })).toThrow(/score for each of 10 tokens, got 1/);
  });
});

describe("a byte-level vocabulary", () => {
  it("gives bytes for printable letters", () => {
    const { vocabulary } = byteLevel();
    expect([...vocabulary.bytes(4)]).toEqual([0x20, 0x61]);
    expect(vocabulary.missingBytes.has(0x61)).toBe(false);
    expect(vocabulary.missingBytes.has(0x62)).toBe(true);
  });

  it("starts documents with <|endoftext|> and ends with the file's end token too", () => {
    expect(byteLevel().vocabulary.documentStart).toBe(0);
    expect(byteLevel().endTokens).toEqual([0, 1]);
  });

  it("is refused with a pre-tokeniser other than SmolLM2's", () => {
    expect(() => byteLevel({ "tokenizer.ggml.pre": "qwen2" })).toThrow(/smollm.*"qwen2"/);
  });

  it("is refused with a merge that is not a pair", () => {
    expect(() => byteLevel({ "tokenizer.ggml.merges": ["abc"] })).toThrow(/"abc"/);
  });
});

describe("a definition", () => {
  it("is refused for other kinds of tokenizer", () => {
    expect(() => byteLevel({ "tokenizer.ggml.model": "bert" })).toThrow(/gpt2.*llama.*"bert"/);
  });

  it("is refused when types are missing or an end token is outside the vocabulary", () => {
    expect(() => byteLevel({ "tokenizer.ggml.token_type": [3] })).toThrow(/type for each of 5 tokens, got 1/);
    expect(() => byteLevel({ "tokenizer.ggml.eos_token_id": 5 })).toThrow(/id below 5, got 5/);
  });

  it("is refused when an added token has white space inside", () => {
    const tokens = ["<|endoftext|>", "<|im end|>", "a", "\u0120", "\u0120a"];
    expect(() => byteLevel({ "tokenizer.ggml.tokens": tokens })).toThrow(/"<\|im end\|>"/);
  });
});
