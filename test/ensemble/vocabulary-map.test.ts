import { describe, expect, it } from "vitest";
import { mapVocabulary } from "../../src/ensemble/vocabulary-map.ts";
import { gemma3, smollm2 } from "../transformers/real-tokenizers.ts";

describe("the anchor's vocabulary in another member's tokens", () => {
  const { tokens, exact } = mapVocabulary(smollm2, gemma3);
  const ids = Array.from(tokens.keys());

  it("an exact token has the same bytes", () => {
    const wrong = ids.filter(
      (id) => exact[id] === 1 && Buffer.compare(smollm2.bytes(id), gemma3.bytes(tokens[id] ?? 0)) !== 0,
    );
    expect(wrong).toEqual([]);
    // 45,997 by count of strings; pieces of characters add the byte tokens.
    expect(exact.reduce((sum, is) => sum + is, 0)).toBeGreaterThan(45_900);
  });

  it("is the token that the member itself would use, not its byte token", () => {
    for (const text of [",", ".", " ", "6", "a", " the", "\n", "é"]) {
      const [id = -1] = smollm2.encode(text).ids;
      expect(tokens[id], JSON.stringify(text)).toBe(gemma3.encode(text).ids[0]);
    }
  });

  it("a token that the member lacks is mapped to the one by which it begins the text", () => {
    const partial = ids.filter((id) => exact[id] === 0 && (tokens[id] ?? -1) >= 0);
    expect(partial.length).toBeGreaterThan(1000);
    for (const id of partial) {
      const whole = Buffer.from(smollm2.bytes(id));
      const begin = Buffer.from(gemma3.bytes(tokens[id] ?? 0));
      expect(whole.subarray(0, begin.length).equals(begin)).toBe(true);
    }
  });

  it("special tokens have none", () => {
    expect(ids.filter((id) => tokens[id] === -1)).toEqual([...smollm2.specialTokens].sort((a, b) => a - b));
  });
});
