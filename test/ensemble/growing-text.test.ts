import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createGrowingText, encodePrefixes } from "../../src/ensemble/growing-text.ts";
import { gemma3, nastyText, smollm2 } from "../transformers/real-tokenizers.ts";

const utf8 = new TextEncoder();

describe.each([
  ["SmolLM2", smollm2],
  ["Gemma 3", gemma3],
])("a text growing under %s", (_name, tokenizer) => {
  it("always has the tokens of the whole text", () => {
    fc.assert(
      fc.property(nastyText, fc.array(nastyText, { maxLength: 6 }), (initial, pieces) => {
        const growing = createGrowingText(tokenizer, initial);
        let text = initial;
        for (const piece of pieces) {
          const before = [...growing.ids];
          const { keep, tail } = growing.append(piece);
          text += piece;
          const whole = tokenizer.encode(text);
          expect([...growing.ids]).toEqual([...whole.ids]);
          expect([...growing.ends]).toEqual([...whole.ends]);
          expect(growing.length).toBe(whole.ids.length);
          expect([...before.slice(0, keep), ...tail]).toEqual([...whole.ids]);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("always has the tokens of the whole text when it grows by single UTF-16 units", () => {
    fc.assert(
      fc.property(nastyText, (text) => {
        const growing = createGrowingText(tokenizer, "");
        for (let i = 0; i < text.length; i += 1) {
          growing.append(text.charAt(i));
          expect([...growing.ids]).toEqual([...tokenizer.encode(text.slice(0, i + 1)).ids]);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("keeps as many tokens as stay the same and reads no more than the last word anew", () => {
    const growing = createGrowingText(tokenizer, "The cat sat on the ma");
    const { length } = growing;
    const read: string[] = [];
    const watched = { ...tokenizer, encode: (text: string) => (read.push(text), tokenizer.encode(text)) };
    const watchedText = createGrowingText(watched, "The cat sat on the ma");
    expect(watchedText.append("t")).toEqual(growing.append("t"));
    expect(read).toEqual(["The cat sat on the ma", " mat"]);
    expect(growing.append(" by")).toMatchObject({ keep: length, tail: { length: 1 } });
  });

  it("has the canonical tokens of every beginning", () => {
    fc.assert(
      fc.property(nastyText, (text) => {
        const whole = tokenizer.encode(text).ids;
        const bytes = utf8.encode(text);
        const offsets = Array.from({ length: bytes.length + 1 }, (_, offset) => offset);
        const prefixes = encodePrefixes(tokenizer, text, offsets);
        offsets.forEach((offset, i) => {
          const found = prefixes[i];
          const inside = ((bytes[offset] ?? 0) & 0xc0) === 0x80;
          if (inside || !found) {
            expect(inside).toBe(true);
            expect(found).toBeNull();
            return;
          }
          const beginning = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, offset));
          const expected = tokenizer.encode(beginning).ids;
          expect([...whole.subarray(0, found.shared), ...found.tail]).toEqual([...expected]);
          expect(found.tail[0] ?? -1).not.toBe(whole[found.shared]);
        });
      }),
      { numRuns: 150 },
    );
  });

  it("shares all tokens with a beginning that ends before a word", () => {
    const [beginning] = encodePrefixes(tokenizer, "The cat sat on the mat.", [11]);
    expect(beginning).toEqual({ shared: 3, tail: new Int32Array(0) });
  });

  it("refuses offsets that descend or lie outside the text", () => {
    expect(() => encodePrefixes(tokenizer, "abc", [2, 1])).toThrow(RangeError);
    expect(() => encodePrefixes(tokenizer, "abc", [-1])).toThrow(RangeError);
    expect(() => encodePrefixes(tokenizer, "abc", [4])).toThrow(/after the text's 3 bytes/);
  });
});
