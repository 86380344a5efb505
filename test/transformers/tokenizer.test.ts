import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../adapters/transformers/tokenizer.ts";
import { GatewayError } from "../../src/ports/gateway-error.ts";
import type { Tokenizer } from "../../src/ports/tokenizer.ts";
import type { MetadataValue } from "../../src/weights/gguf-header.ts";
import { createMetadata } from "../../src/weights/metadata.ts";
import { gemma3, nastyText, smollm2 } from "./real-tokenizers.ts";

interface GoldenTokens {
  readonly ids: number[];
  readonly ends: number[];
}

type GoldenRow = { readonly text: string } & Readonly<Record<"smollm2" | "gemma3", GoldenTokens>>;

const golden: readonly GoldenRow[] = JSON.parse(
  readFileSync(new URL("../golden/tokenizer-ids.json", import.meta.url), "utf8"),
);

const utf8 = new TextEncoder();

function tokensOf(tokenizer: Tokenizer, text: string): GoldenTokens {
  const { ids, ends } = tokenizer.encode(text);
  return { ids: [...ids], ends: [...ends] };
}

/** What is left of a text's bytes without those that SmolLM2 has no token for. */
function withoutMissing(bytes: Uint8Array): Uint8Array {
  return bytes.filter((byte) => ![0x04, 0x06, 0x13, 0x14, 0x16, 0x1d, 0xf1, 0xf2].includes(byte));
}

describe("SmolLM2's tokenizer", () => {
  it("has the reference's ids and byte ends", () => {
    expect(golden.length).toBeGreaterThan(300);
    for (const { text, smollm2: expected } of golden) expect(tokensOf(smollm2, text), text).toEqual(expected);
  });

  it("starts documents with <|endoftext|> and ends answers with <|im_end|> or <|endoftext|>", () => {
    expect(smollm2.vocabularySize).toBe(49_152);
    expect(smollm2.documentStart).toBe(0);
    expect(smollm2.endTokens).toEqual([0, 2]);
    expect([...smollm2.specialTokens]).toEqual(Array.from({ length: 17 }, (_, id) => id));
  });

  it("renders a chat by the model's template", () => {
    const rendered = smollm2.renderChat([
      { role: "system", content: "Be short." },
      { role: "user", content: "Hi" },
    ]);
    expect(rendered).toBe(
      "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    );
    expect(smollm2.chatStops).toEqual([]);
  });

  it("spells any text but for the bytes it has no token for", () => {
    fc.assert(
      fc.property(nastyText, (text) => {
        const { ids } = smollm2.encode(text);
        const spelt = Array.from(ids, (id) => Array.from(smollm2.bytes(id))).flat();
        expect(spelt).toEqual([...withoutMissing(utf8.encode(text))]);
      }),
      { numRuns: 300 },
    );
  });
});

describe("Gemma 3's tokenizer", () => {
  it("has the reference's ids and byte ends", () => {
    for (const { text, gemma3: expected } of golden) expect(tokensOf(gemma3, text), text).toEqual(expected);
  });

  it("starts documents with <bos> and ends answers with <eos> or <end_of_turn>", () => {
    expect(gemma3.vocabularySize).toBe(262_144);
    expect(gemma3.documentStart).toBe(2);
    expect(gemma3.endTokens).toEqual([1, 106]);
    expect([0, 1, 2, 3, 4, 105, 106].every((id) => gemma3.specialTokens.has(id))).toBe(true);
    expect([107, 138, 168, 238].some((id) => gemma3.specialTokens.has(id))).toBe(false);
  });

  it("renders a chat as a transcript whose answer begins on its own line", () => {
    expect(
      gemma3.renderChat([
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Hello." },
        { role: "user", content: "Who?" },
      ]),
    ).toBe("User:\nHi\n\nAssistant:\nHello.\n\nUser:\nWho?\n\nAssistant:\n");
    expect(gemma3.chatStops).toContain("\n\nUser:");
  });

  it("spells any text, U+2581 as a space", () => {
    fc.assert(
      fc.property(nastyText, (text) => {
        const wellFormed = new TextDecoder("utf-8", { ignoreBOM: true }).decode(utf8.encode(text));
        expect(gemma3.decode(gemma3.encode(text).ids)).toBe(wellFormed.replaceAll("\u2581", " "));
      }),
      { numRuns: 300 },
    );
  });
});

describe.each([
  ["SmolLM2", smollm2],
  ["Gemma 3", gemma3],
])("%s's tokenizer", (_name, tokenizer) => {
  it("ends its last token where the text ends", () => {
    fc.assert(
      fc.property(nastyText, (text) => {
        const { ids, ends } = tokenizer.encode(text);
        expect(ends.length).toBe(ids.length);
        expect(ends).toEqual(ends.toSorted());
        if (ids.length > 0) expect(ends.at(-1)).toBe(utf8.encode(text).length);
      }),
      { numRuns: 300 },
    );
  });

  it("reads an unpaired surrogate as U+FFFD", () => {
    expect(tokensOf(tokenizer, "a\ud800b")).toEqual(tokensOf(tokenizer, "a\ufffdb"));
  });

  it.each([
    ["a letter", "a"],
    ["a Chinese character", "\u4e16"],
    ["a space", " "],
    ["a digit", "7"],
    ["mark-up", "> </"],
  ])("reads 100,000 times %s", (_what, piece) => {
    const { ends } = tokenizer.encode(piece.repeat(100_000));
    expect(ends.at(-1)).toBe(100_000 * utf8.encode(piece).length);
  });

  it("decodes a part of a character as U+FFFD and an unknown id not at all", () => {
    const { ids } = tokenizer.encode("\u{13000}");
    expect(ids.length).toBeGreaterThan(1);
    expect(tokenizer.decode(ids.subarray(0, 1))).toBe("\ufffd");
    expect(tokenizer.decode(ids)).toBe("\u{13000}");
    expect(() => tokenizer.bytes(tokenizer.vocabularySize)).toThrow(RangeError);
  });

  it("recognises special tokens in a text and writes them out again", () => {
    const special = tokenizer.decode([tokenizer.documentStart]);
    expect(tokenizer.encode(`a${special}`).ids.at(-1)).toBe(tokenizer.documentStart);
  });
});

function smallTokenizer(template: string): Tokenizer {
  const letters = Array.from("<|endoftx>");
  return createTokenizer(
    createMetadata(
      new Map<string, MetadataValue>([
        ["tokenizer.ggml.model", "gpt2"],
        ["tokenizer.ggml.pre", "smollm"],
        ["tokenizer.ggml.tokens", ["<|endoftext|>", "a", "b", "ab", ...letters]],
        ["tokenizer.ggml.token_type", [3, 1, 1, 1, ...letters.map(() => 1)]],
        ["tokenizer.ggml.merges", ["a b"]],
        ["tokenizer.ggml.bos_token_id", 0],
        ["tokenizer.ggml.eos_token_id", 0],
        ["tokenizer.chat_template", template],
      ]),
    ),
  );
}

describe("a small byte-level vocabulary", () => {
  it("joins over a byte it has no token for and counts it with the token before", () => {
    expect(tokensOf(smallTokenizer(""), "acbc")).toEqual({ ids: [3], ends: [4] });
    expect(tokensOf(smallTokenizer(""), "c<|endoftext|>cab")).toEqual({ ids: [0, 3], ends: [15, 17] });
    expect(tokensOf(smallTokenizer(""), "cc")).toEqual({ ids: [], ends: [] });
  });

  it("reports a template that refuses the messages as an invalid request", () => {
    const tokenizer = smallTokenizer("{{ raise_exception('roles must alternate') }}");
    const render = () => tokenizer.renderChat([{ role: "user", content: "Hi" }]);
    expect(render).toThrow(GatewayError);
    expect(render).toThrow(/roles must alternate/);
    expect(render).toThrow(expect.objectContaining({ code: "invalid_request", param: "messages" }));
  });
});
