import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAnswerText } from "../../src/ensemble/answer-text.ts";
import { createUtf8Stream } from "../../src/ensemble/utf8-stream.ts";
import type { TokenScore } from "../../src/ports/engine.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const tokenOf = (bytes: Uint8Array, token = 0): TokenScore => ({ token, bytes, logprob: -1, top: [] });

/** Pushes pieces until a stop; returns the texts released at each step and the whole. */
function run(stops: string[], pieces: Uint8Array[]) {
  const text = createAnswerText(stops);
  const released: string[] = [];
  const tokens: number[] = [];
  for (const [i, bytes] of pieces.entries()) {
    const { piece, stopped } = text.push(tokenOf(bytes, i));
    released.push(piece.text);
    tokens.push(...piece.tokens.map((token) => token.token));
    if (stopped) return { released, tokens, whole: text.released, stopped: true };
  }
  const rest = text.end();
  released.push(rest.text);
  tokens.push(...rest.tokens.map((token) => token.token));
  return { released, tokens, whole: text.released, stopped: false };
}

describe("answer text", () => {
  it("releases text as it comes when nothing can stop it", () => {
    expect(run([], ["Hel", "lo", "!"].map(encode)).released).toEqual(["Hel", "lo", "!", ""]);
  });

  it("holds back what may become a stop text, and releases it when it does not", () => {
    expect(run(["###"], ["a#", "#", "b"].map(encode)).released).toEqual(["a", "", "##b", ""]);
  });

  it("ends before a stop text that spans tokens, and drops the tokens that made it", () => {
    const { whole, stopped, tokens } = run(["\n\nUser:"], ["Yes.", "\n", "\nUs", "er", ": no"].map(encode));
    expect({ whole, stopped, tokens }).toEqual({ whole: "Yes.", stopped: true, tokens: [0] });
  });

  it("stops at the earliest of several stop texts", () => {
    expect(run(["c", "bcd"], ["ab", "cd"].map(encode)).whole).toBe("a");
  });

  it("releases a character only when all its bytes have come, together with their tokens", () => {
    const [a, b, c] = [0, 1, 2].map((i) => encode("€").subarray(i, i + 1));
    const text = createAnswerText([]);
    expect(text.push(tokenOf(a!, 1)).piece).toEqual({ text: "", tokens: [] });
    expect(text.push(tokenOf(b!, 2)).piece).toEqual({ text: "", tokens: [] });
    const { piece } = text.push(tokenOf(c!, 3));
    expect(piece.text).toBe("€");
    expect(piece.tokens.map((token) => token.token)).toEqual([1, 2, 3]);
  });

  it("an unfinished character at the end becomes U+FFFD", () => {
    expect(run([], [encode("x€").subarray(0, 3)]).whole).toBe("x\uFFFD");
  });

  it("however a text is cut into tokens, everything before the first stop is released once", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "b", "#", "€", "😀"), maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 40 }),
        fc.array(fc.string({ unit: fc.constantFrom("a", "#", "€"), minLength: 1, maxLength: 3 }), {
          maxLength: 3,
        }),
        (text, sizes, stops) => {
          const bytes = encode(text);
          const pieces: Uint8Array[] = [];
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = sizes[i % sizes.length] ?? 1;
            pieces.push(bytes.subarray(at, at + size));
            at += size;
          }
          const { released, whole, stopped } = run(stops, pieces);
          expect(released.join("")).toBe(whole);
          const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
          expect(stopped).toBe(found.length > 0);
          if (!stopped) expect(whole).toBe(text);
          else expect(text.startsWith(whole)).toBe(true);
          for (const stop of stops) expect(whole.includes(stop)).toBe(false);
        },
      ),
    );
  });
});

describe("utf8 stream", () => {
  it("equals decoding at once, however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(fc.nat(40), { maxLength: 8 }), (bytes, cuts) => {
        const stream = createUtf8Stream();
        const bounds = [
          0,
          ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b),
          bytes.length,
        ];
        let text = "";
        for (let i = 1; i < bounds.length; i++) text += stream.push(bytes.subarray(bounds[i - 1], bounds[i]));
        expect(text + stream.flush()).toBe(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
      }),
    );
  });
});
