import { describe, expect, it } from "vitest";
import { UNREAD } from "../../src/alignment/shared-space.ts";
import { decoderRows, type FitMember, type MemberRows } from "../../src/ensemble/decoder-rows.ts";
import type { LanguageModel } from "../../src/ports/language-model.ts";
import type { Tokenizer } from "../../src/ports/tokenizer.ts";
import { createMergingTokenizer } from "../merging-tokenizer.ts";
import { createScriptedMember } from "../scripted-member.ts";
import { gemma3, smollm2 } from "../transformers/real-tokenizers.ts";

/** A member of whose weights nothing is asked but which rows. */
function member(tokenizer: Tokenizer): FitMember {
  const model: LanguageModel = { ...createScriptedMember({ id: "m", seed: 1 }), tokenizer };
  return { model, outputRows: async (tokens) => Float32Array.from(tokens), continuations: null };
}

async function rowsOf(anchor: Tokenizer, follower: Tokenizer, texts: readonly string[]): Promise<MemberRows> {
  const ids = texts.flatMap((text) => [...follower.encode(text).ids]);
  const [, rows] = await decoderRows([member(anchor), member(follower)], [Int32Array.from(ids)]);
  if (rows === undefined) throw new Error("no rows");
  return rows;
}

describe("the decoder's rows", () => {
  const anchor = createMergingTokenizer(["'s", "th", "the"]);
  const token = (text: string): number => anchor.encode(text).ids[0] ?? -1;

  it("a token that the member spells with several is spoken for by the row of the first of them", async () => {
    const { tokens, own, offset } = await rowsOf(anchor, createMergingTokenizer(["the", "there"]), []);
    expect(own.hosts[token("'s")]).toBe(token("'"));
    expect(own.hosts[token("th")]).toBe(token("t"));
    expect(own.hosts.filter((host) => host >= 0)).toHaveLength(2);
    expect(tokens[token("th")]).toBe(-1);
    expect(offset[token("th")]).toBe(UNREAD);
    expect(own.ids).toHaveLength(0);
  });

  it("a token with which one of the member's begins has that one's row", async () => {
    const follower = createMergingTokenizer(["thx", "the", "'s"]);
    const { tokens, own, offset } = await rowsOf(anchor, follower, ["thx"]);
    expect([...own.ids]).toEqual([...follower.encode("thx").ids]);
    expect([...own.begins]).toEqual([token("th")]);
    expect(own.firstRow).toBe(anchor.vocabularySize);
    expect(tokens[own.firstRow]).toBe(own.ids[0]);
    expect(offset[own.firstRow]).toBe(0);
    expect(own.hosts.every((host) => host === -1)).toBe(true);
  });

  it("the anchor reads its own tokens and no follower's", async () => {
    const [first] = await decoderRows(
      [member(anchor), member(createMergingTokenizer(["thx"]))],
      [Int32Array.of(createMergingTokenizer(["thx"]).encode("thx").ids[0] ?? -1)],
    );
    expect([...(first?.tokens ?? [])]).toEqual([
      ...Array.from({ length: anchor.vocabularySize }, (_, t) => t),
      -1,
    ]);
  });
});

describe("Gemma's rows beside SmolLM2's", () => {
  it("hold a token of its own under the anchor's with which it begins, by the order of these", async () => {
    const { own } = await rowsOf(smollm2, gemma3, [" photosynthesis", " Wednesday", " unfortunately"]);
    const begins = [...own.ids].map(
      (id) => smollm2.encode(new TextDecoder().decode(gemma3.bytes(id))).ids[0],
    );
    expect([...own.begins]).toEqual(begins);
    expect([...own.begins]).toEqual([...begins].sort((a, b) => (a ?? 0) - (b ?? 0)));
    // A token that the anchor has too needs no row of its own.
    expect(own.ids).not.toContain(gemma3.encode(" Wednesday").ids[0]);
  });

  it("have 's spoken for by the apostrophe, Gemma spelling it with two", async () => {
    const { own } = await rowsOf(smollm2, gemma3, []);
    expect(own.hosts[smollm2.encode("dog's").ids[1] ?? -1]).toBe(smollm2.encode("'").ids[0]);
  });
});
